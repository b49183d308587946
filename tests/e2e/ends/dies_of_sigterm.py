# SIGTERM at its default kills.
# where: all
# exit: SIGTERM
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)

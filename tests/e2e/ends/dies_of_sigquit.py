# SIGQUIT at its default kills.
# exit: SIGQUIT
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGQUIT)
time.sleep(5)

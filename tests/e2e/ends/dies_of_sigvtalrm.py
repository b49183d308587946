# SIGVTALRM at its default kills.
# exit: SIGVTALRM
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGVTALRM)
time.sleep(5)

# SIGHUP at its default kills.
# exit: SIGHUP
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGHUP)
time.sleep(5)

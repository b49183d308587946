# SIGINT at its default.
# exit: SIGINT
import os
import signal
import time

from head import work

work()
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(5)

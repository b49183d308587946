# SIGINT becomes a KeyboardInterrupt that nobody catches.
# exit: SIGINT
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGINT)
time.sleep(5)

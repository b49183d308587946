# SIGALRM at its default kills.
# exit: SIGALRM
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGALRM)
time.sleep(5)

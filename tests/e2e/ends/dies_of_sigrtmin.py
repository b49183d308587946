# SIGRTMIN at its default kills.
# exit: SIGRTMIN
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGRTMIN)
time.sleep(5)

# SIGUSR1 at its default kills.
# exit: SIGUSR1
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(5)

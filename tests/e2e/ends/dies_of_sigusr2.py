# SIGUSR2 at its default kills.
# exit: SIGUSR2
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGUSR2)
time.sleep(5)

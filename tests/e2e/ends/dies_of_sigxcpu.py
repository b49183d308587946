# SIGXCPU at its default kills.
# exit: SIGXCPU
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGXCPU)
time.sleep(5)

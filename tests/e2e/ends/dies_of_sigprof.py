# SIGPROF at its default kills.
# exit: SIGPROF
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGPROF)
time.sleep(5)

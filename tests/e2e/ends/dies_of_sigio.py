# SIGIO at its default kills.
# exit: SIGIO
import os
import signal
import time

from head import work

work()
os.kill(os.getpid(), signal.SIGIO)
time.sleep(5)

# A handler for SIGTERM ends the program.
# where: all
# exit: 5
import os
import signal
import sys
import time

from head import work

work()
signal.signal(signal.SIGTERM, lambda *a: sys.exit(5))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)

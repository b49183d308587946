# A thread sends the process a signal that kills.
# exit: SIGTERM
import os
import signal
import threading
import time

from head import work

work()
t = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGTERM))
t.start()
t.join()
time.sleep(5)

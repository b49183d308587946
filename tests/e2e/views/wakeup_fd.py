# Ticks write nothing to the descriptor of signal.set_wakeup_fd().
# where: all
# expect: silent
import os
import signal

from head import busy

r, w = os.pipe()
os.set_blocking(w, False)
os.set_blocking(r, False)
signal.set_wakeup_fd(w)
busy(0.1)
try: print(os.read(r, 100))
except BlockingIOError: print('silent')

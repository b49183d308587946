# _Exit(), in a thread.
# where: few
# exit: 6
# expect: x
import ctypes
import threading

from head import work

work()
print('x', flush=True)
thread = threading.Thread(target=ctypes.CDLL(None)._Exit, args=(6,))
thread.start()
thread.join()

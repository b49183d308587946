# quick_exit(): no finalization, no destructors.
# where: few
# exit: 5
# expect: x
import ctypes

from head import work

work()
print('x', flush=True)
ctypes.CDLL(None).quick_exit(5)

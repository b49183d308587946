# A crash.
# where: all
# exit: SIGSEGV
import ctypes

from head import work

work()
ctypes.string_at(0)

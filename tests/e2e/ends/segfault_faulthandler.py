# A crash that faulthandler prints and passes on.
# exit: SIGSEGV
import ctypes
import faulthandler

from head import work

work()
faulthandler.enable()
ctypes.string_at(0)

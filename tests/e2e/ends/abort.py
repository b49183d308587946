# abort() raises SIGABRT.
# exit: SIGABRT
import os

from head import work

work()
os.abort()

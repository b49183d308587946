# os._exit(): no finalization, no destructors.
# where: all
# exit: 7
# expect: x
import os

from head import work

work()
print('x', flush=True)
os._exit(7)

# sys.exit() with a status.
# where: all
# exit: 3
import sys

from head import work

work()
sys.exit(3)

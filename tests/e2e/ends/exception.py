# An exception that nobody catches.
# where: all
# exit: 1
from head import work

work()
1/0

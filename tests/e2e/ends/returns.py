# The main module ends.
# where: all
# expect: bye
from head import work

work()
print('bye')

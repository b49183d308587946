# The process becomes a program without Python.
# where: all
# expect: hello
import os

from head import work

work()
os.execv('/bin/echo', ['echo', 'hello'])

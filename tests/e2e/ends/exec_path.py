# The process becomes a program that is found by PATH.
# expect: hello
import os

from head import work

work()
os.execvp('echo', ['echo', 'hello'])

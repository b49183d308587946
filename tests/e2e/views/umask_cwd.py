# The file mode mask and the working directory.
# expect: 0o22 True
import os

print(oct(os.umask(0o22)), os.getcwd() == os.path.realpath(os.getcwd()))

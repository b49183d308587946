# The file mode mask and the working directory.
import os

print(oct(os.umask(0o22)), os.getcwd() == os.path.realpath(os.getcwd()))

# os.fork() has no second thread to warn of (CPython 3.12 on).
# where: all
# expect: 768
import os
import warnings

warnings.simplefilter('error')
pid = os.fork()
if pid == 0: os._exit(3)
print(os.waitpid(pid, 0)[1])

# No thread of ours.
# where: all
# expect: 1 1
import os
import threading

print(threading.active_count(), len(os.listdir('/proc/self/task')))

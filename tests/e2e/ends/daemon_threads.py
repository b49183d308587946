# Daemon threads are busy while the interpreter ends.
# where: all
import threading
import time

from head import busy, work

work()
for i in range(3): threading.Thread(target=busy, args=(60,), daemon=True).start()
time.sleep(.1)

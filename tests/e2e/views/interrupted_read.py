# A SIGPROF of the program's interrupts a read(), and its handler runs.
# expect: b'x' [1]
import os
import signal
import threading

r, w = os.pipe()
hit = []
signal.signal(signal.SIGPROF, lambda *a: (hit.append(1), os.write(w, b'x')))
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGPROF)).start()
print(os.read(r, 1), hit)

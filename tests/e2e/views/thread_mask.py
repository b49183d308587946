# The mask that threads begin with.
# expect: [[]]
# expect: [[], True]
import signal
import threading

from head import busy

out = []
t = threading.Thread(target=lambda: out.append(sorted(signal.pthread_sigmask(0, []))))
t.start()
t.join()
print(out)
signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {9, 19, 32, 33})
t = threading.Thread(target=lambda: (busy(.05), out.append(signal.SIGPROF in signal.pthread_sigmask(0, []))))
t.start()
t.join()
print(out)

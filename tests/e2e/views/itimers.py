# The interval timers are the program's.
# expect: [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
import signal

print([signal.getitimer(i) for i in (0, 1, 2)])

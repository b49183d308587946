# The mask of the main thread, and what waits for it.
# expect: [] set()
import signal

print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), signal.sigpending())

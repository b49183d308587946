# ITIMER_PROF kills a program that has no handler for it.
# exit: SIGPROF
import signal

from head import busy

signal.setitimer(signal.ITIMER_PROF, 0.05)
busy(20)
print('alive')

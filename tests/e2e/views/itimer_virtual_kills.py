# ITIMER_VIRTUAL kills a program that has no handler for it.
# exit: SIGVTALRM
import signal

from head import busy

signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
busy(20)
print('alive')

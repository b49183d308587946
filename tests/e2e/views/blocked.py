# SIGPROF is blocked: no tick is pending, what others send is; and a program that is started has it blocked.
# where: all
# expect: set() None
# expect: {<Signals.SIGPROF: 27>} 27
# expect: b'{<Signals.SIGPROF: 27>}\n'
# expect: set()
import os
import signal
import subprocess
import sys

from head import busy

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
busy(0.1)
print(signal.sigpending(), signal.sigtimedwait([signal.SIGPROF], 0))
os.kill(os.getpid(), signal.SIGPROF)
busy(0.05)
print(signal.sigpending(), signal.sigwaitinfo([signal.SIGPROF]).si_signo)
print(subprocess.run([sys.executable, '-c', 'import signal; print(signal.pthread_sigmask(0, []))'], capture_output=True).stdout)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
busy(0.05)
print(signal.pthread_sigmask(0, []))

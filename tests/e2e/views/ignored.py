# SIGPROF is ignored, here and in a program that is started.
import os
import signal
import subprocess
import sys

from head import busy

signal.signal(signal.SIGPROF, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGPROF)
busy(.05)
print(signal.getsignal(signal.SIGPROF))
print(subprocess.run([sys.executable, '-c', 'import signal; print(signal.getsignal(signal.SIGPROF))'], capture_output=True).stdout)

# What a program that is started has of signals and limits.
import subprocess

print(subprocess.run(['/bin/sh', '-c', 'grep -E "SigBlk|SigIgn|SigPnd|SigCgt" /proc/self/status; ulimit -a'], capture_output=True).stdout.decode())

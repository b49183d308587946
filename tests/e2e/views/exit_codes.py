# Exit statuses of programs that are started.
# expect: [1, 9, -15, 44]
import subprocess
import sys

print([subprocess.run([sys.executable, '-c', c], capture_output=True).returncode for c in ('1/0', 'import os; os._exit(9)', 'import os; os.kill(os.getpid(), 15)', 'import sys; sys.exit(300)')])

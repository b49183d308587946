# The environment, but for LD_PRELOAD and SPPROF_*.
import os

print(sorted(k for k in os.environ if not k.startswith(('LD_', 'SPPROF'))))

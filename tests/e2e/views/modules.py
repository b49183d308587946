# No module of ours.
# expect: []
import sys

print(sorted(m for m in sys.modules if 'spprof' in m))

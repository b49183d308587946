# No module of ours.
# expect: [] False
import sys

print(sorted(m for m in sys.modules if 'spprof' in m), 'spprof' in sys.builtin_module_names)

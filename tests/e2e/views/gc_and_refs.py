# The garbage collector.
# expect: True
import gc

gc.collect()
print(gc.isenabled())

# Sleeps and waits last as long as they should.
# expect: True
import select
import time

t = time.time()
time.sleep(0.2)
select.select([], [], [], 0.1)
p = select.poll()
p.poll(100)
print(0.39 < time.time() - t)

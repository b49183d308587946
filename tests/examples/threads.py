"""Two kinds of work in a pool of named threads: which costs what, and in which thread?

    LD_PRELOAD=$PWD/build/libspprof.so SPPROF_OUT=threads.json python3 tests/examples/threads.py
    build/spprof report --by thread threads.json
    build/spprof report --thread resize threads.json
"""
import threading


def resize(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


def compress(n):
    text = ""
    for i in range(n // 4):
        text = (text + chr(65 + i % 26))[-50:]
    return text


def worker(task, n):
    for _ in range(30):
        task(n)


threads = [threading.Thread(target=worker, args=(task, 120_000), name=f"{task.__name__}-{i}")
           for task in (resize, compress) for i in range(2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("done")

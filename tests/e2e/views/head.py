# What the programs here share.
import time

thread_time = getattr(time, "thread_time", time.process_time)


def busy(seconds):
    end = thread_time() + seconds
    while thread_time() < end:
        for i in range(200):
            pass

# What the programs here share. SPPROF_TEST_WORK: how much they do; nothing where only what is printed matters.
import os
import time

thread_time = getattr(time, "thread_time", time.process_time)


def busy(seconds):
    end = thread_time() + seconds
    while thread_time() < end:
        for i in range(200):
            pass


def work():
    busy(float(os.environ.get("SPPROF_TEST_WORK", "0.06")))

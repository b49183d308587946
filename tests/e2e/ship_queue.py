#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof ship: what waits to be sent, in which order, where and how much of it, over the end of who sends it."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import otlp  # noqa: E402
from receiver import Receiver, answer, free_port  # noqa: E402
from shipping import await_left, begin, ended, left, need_curl, recorded, several, ship  # noqa: E402
from sp import Skip, case, main  # noqa: E402


@case
def in_order(b):
    """By the time at which they came, whatever their names; each goes when it was taken."""
    need_curl(b)
    directory, names = several(b, 4)
    with Receiver(*[answer(200)] * 2, answer(503)) as r:
        p = begin(b, "--to", r.url(), "--retry", "60s", directory)
        r.await_requests(3)
        await_left(directory, names[2:])
        p.terminate()
        assert "tried again" in ended(p)
        ship(b, "--once", "--to", r.url(), directory)
        assert left(directory) == [] and len(r.got) == 5


@case
def kept_when_sent(b):
    """With --keep files stay, and are sent once; one that is replaced is another."""
    need_curl(b)
    directory, names = several(b, 3)
    with Receiver() as r:
        ship(b, "--once", "--keep", "--to", r.url(), directory)
        assert len(r.got) == 3 and left(directory) == sorted(names)
        assert ship(b, "--once", "--keep", "--to", r.url(), directory) == "" and len(r.got) == 3
        os.replace(recorded(b), os.path.join(directory, names[1]))
        ship(b, "--once", "--keep", "--to", r.url(), directory)
        assert len(r.got) == 4 and left(directory) == sorted(names)
        assert otlp.Request(r.got[3].body).profiles["cpu"].id != otlp.Request(r.got[1].body).profiles["cpu"].id


@case
def own_restart(b):
    """Killed while the receiver has the request: it is sent again. Ended by a signal: when that is done, and nothing is sent twice."""
    need_curl(b)
    go_on = threading.Event()

    def slow_one(handler):
        go_on.wait(100)
        answer(200)(handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        directory, names = several(b, 3)
        go_on.clear()
        with Receiver(slow_one) as r:
            p = begin(b, "--to", r.url(), directory)
            r.await_requests(1)
            p.send_signal(number)
            time.sleep(0.3)
            assert p.poll() is None, "it did not wait for the reply"
            go_on.set()
            err = ended(p)
            assert "spprof: 1 sent; 2 stay in " in err and left(directory) == sorted(names[1:]), err
            ship(b, "--once", "--to", r.url(), directory)
            assert len(r.got) == 3 and left(directory) == []
    directory, names = several(b, 2)
    go_on.clear()
    with Receiver(slow_one) as r:
        p = begin(b, "--to", r.url(), directory)
        r.await_requests(1)
        p.kill()
        p.communicate()
        go_on.set()
        ship(b, "--once", "--to", r.url(), directory)
        assert len(r.got) == 3 and left(directory) == [] and r.got[0].body == r.got[1].body
    directory, names = several(b, 2)
    go_on.clear()
    with Receiver(slow_one) as r:  # a second signal does not wait
        p = begin(b, "--to", r.url(), directory)
        r.await_requests(1)
        while p.poll() is None:
            p.terminate()
            time.sleep(0.3)
        assert "second signal" in ended(p) and left(directory) == sorted(names)
        go_on.set()


@case
def drained(b):
    """With --drain SIGTERM has what is there sent, with one try each."""
    need_curl(b)
    directory, names = several(b, 3)
    with Receiver(answer(503)) as r:
        p = begin(b, "--drain", "--retry", "100s", "--to", r.url(), directory)
        r.await_requests(1)
        p.terminate()
        assert "spprof: 3 sent\n" in ended(p) and len(r.got) == 4 and left(directory) == []


@case
def bounded(b):
    """Beyond its limit a queue loses the oldest, and says so; the newest stays in any case."""
    need_curl(b)
    for keep in ((), ("--keep",)):
        directory, names = several(b, 6)
        size = os.path.getsize(os.path.join(directory, names[0]))
        url = f"http://127.0.0.1:{free_port()}"
        err = ship(b, "--once", "--retry", "1ms", "--queue-limit", 3 * size + 1, *keep, "--to", url, directory, status=1)
        assert [f"{n}: was dropped unsent" in err for n in names] == [True] * 3 + [False] * 3 and "3 dropped so far" in err, err
        assert left(directory) == sorted(names if keep else names[3:])
        ship(b, "--once", "--retry", "1ms", "--queue-limit", "1", *keep, "--to", url, directory, status=1)
        assert keep or left(directory) == names[5:]
        with Receiver() as r:
            ship(b, "--once", *keep, "--to", r.url(), directory)
            assert len(r.got) == 1, len(r.got)


@case
def queue_elsewhere(b):
    """With --queue files are moved there at once, across file systems too, and sent from there, in order; copied with --keep."""
    need_curl(b)
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for keep in ((), ("--keep",)):
        for folder in filter(None, (b.fresh(), shm)):
            queue = os.path.join(folder, f"spprof-test-queue-{os.getpid()}")
            with contextlib.ExitStack() as stack:
                stack.callback(shutil.rmtree, queue, ignore_errors=True)
                directory, names = several(b, 3)
                with Receiver(answer(503)) as r:
                    p = begin(b, "--retry", "100s", "--queue", queue, *keep, "--to", r.url(), directory)
                    r.await_requests(1)
                    await_left(directory, names if keep else [])
                    p.terminate()
                    ended(p)
                    assert [n.split("-", 2)[2] for n in sorted(left(queue))] == names, left(queue)
                    ship(b, "--once", "--queue", queue, *keep, "--to", r.url(), directory)
                    assert len(r.got) == 4 and left(queue) == [] and left(directory) == sorted(names if keep else [])


@case
def full_queue(b):
    """A queue whose file system is full takes nothing in: profiles stay where they are, and go when there is room."""
    need_curl(b)
    directory, names = several(b, 3)
    mount, flag = b.fresh(), os.path.join(b.fresh(), "flag")
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", mount], capture_output=True).returncode:
        raise Skip("nothing can be mounted here")
    script = (f"mount -t tmpfs -o size=1M none {mount}; mkdir {mount}/.spprof-ship; : >{mount}/.spprof-ship/lock; head -c 2000000 /dev/zero >{mount}/.fill 2>/dev/null;"
              f"(while [ ! -e {flag} ]; do sleep 0.05; done; rm {mount}/.fill) & exec \"$0\" \"$@\"")
    with Receiver() as r:
        p = begin(b, "--queue", mount, "--to", r.url(), directory, command=("unshare", "-m", "sh", "-c", script))
        os.set_blocking(p.stderr.fileno(), True)
        said = p.stderr.readline()
        time.sleep(1.2)  # it looks again meanwhile
        stayed = left(directory)
        with open(flag, "w"):
            pass
        await_left(directory, [])
        r.await_requests(3)
        p.terminate()
        err = ended(p)
        assert stayed == sorted(names) and "No space left on device" in said and "No space" not in err and len(r.got) == 3, (stayed, said, err)


@case
def one_at_a_time(b):
    """Two that send the same directory would send files twice."""
    need_curl(b)
    directory, _ = several(b, 1)
    with Receiver(answer(503)) as r:
        p = begin(b, "--retry", "100s", "--to", r.url(), directory)
        r.await_requests(1)
        assert "another spprof ship" in ship(b, "--once", "--to", r.url(), directory, status=2)
        p.terminate()
        ended(p)


if __name__ == "__main__":
    sys.exit(main())

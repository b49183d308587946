#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof ship, and who receives: one that refuses, is slow, goes and comes, or is somebody else; and what it is told in headers."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from receiver import Receiver, answer, certificate, free_port, half, hang_up  # noqa: E402
from shipping import await_left, begin, ended, left, need_curl, several, ship  # noqa: E402
from sp import case, main  # noqa: E402


@case
def refused_by_receiver(b):
    """What is refused is said, once, and stays for the next start; secrets and controls of the reply are not repeated."""
    need_curl(b)
    directory, names = several(b, 3)
    token = "Bearer s3cr3t-t0ken"
    with Receiver(answer(400, b"no\x1b[31m such \x07field\n"), answer(401, b"bad token s3cr3t-t0ken"), answer(200),
                  answer(413, b"\x12\x08too long", Content_Type="application/x-protobuf")) as r:
        err = ship(b, "--once", "--to", r.url(), "--header", "Authorization: " + token, directory, status=1)
        assert [g.headers["Authorization"] for g in r.got] == [token] * 3, r.got
        assert f'{names[0]}: is refused with status 400, "no\\x1b[31m such \\x07field"; it stays' in err, err
        assert f"{names[1]}: is refused with status 401; it stays" in err and "s3cr3t" not in err, err
        assert err.splitlines()[-1].startswith("spprof: 1 sent, 2 refused; 2 stay in ") and left(directory) == sorted(names[:2]), err
        err = ship(b, "--once", "--to", r.url(), directory, status=1)
        assert len(r.got) == 5 and left(directory) == [names[0]] and 'status 413, "too long"' in err, err


@case
def partly_refused(b):
    """A Collector that takes a part is not sent it again."""
    need_curl(b)
    directory, _ = several(b, 1)
    with Receiver(answer(200, b"\x0a\x08\x08\x02\x12\x04odd\x1b", Content_Type="application/x-protobuf")) as r:
        err = ship(b, "--once", "--to", r.url(), directory)
        assert 'was taken but for 2 of its profiles, "odd\\x1b"' in err and left(directory) == [] and len(r.got) == 1, err


@case
def tried_again(b):
    """Busy, overloaded, no reply, half a reply: sent again until it is taken; not before the server asks."""
    need_curl(b)
    for answers in ([answer(429, Retry_After="2")], [answer(503)], [answer(502), answer(504)], [hang_up], [half, half]):
        directory, _ = several(b, 1)
        with Receiver(*answers) as r:
            err = ship(b, "--once", "--retry", "50ms", "--to", r.url(), directory)
            assert len(r.got) == len(answers) + 1 and len({g.body for g in r.got}) == 1 and left(directory) == [], (err, len(r.got))
            assert "tried again" in err and "answers again" in err, err
            assert "429" not in err or r.got[1].at - r.got[0].at >= 1.9, "before the time that was asked for"
    directory, _ = several(b, 1)
    with Receiver(*[answer(503)] * 9) as r:
        err = ship(b, "--once", "--retry", "10ms", "--to", r.url(), directory, status=1)
        assert "0 sent; 1 stay in " in err and err.count("tried again") == 1 and len(r.got) == 5 and len(left(directory)) == 1, err
    with Receiver(answer(500)) as r:  # OTLP names what may be tried again; Pyroscope is a server like others
        ship(b, "--once", "--retry", "10ms", "--to", r.url(), directory, status=1)
        assert len(r.got) == 1
    with Receiver(answer(500)) as r:
        ship(b, "--once", "--retry", "10ms", "--to", r.url("/ingest"), directory)
        assert len(r.got) == 2


@case
def library_not_there(b):
    """Where the command could send, and the machine has no libcurl, that is said, and what waits to be sent stays."""
    need_curl(b)
    directory, names = several(b, 1)
    libraries = b.fresh()
    for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
        open(os.path.join(libraries, name), "w").close()
    with Receiver() as r:
        err = ship(b, "--once", "--to", r.url(), directory, status=1, env={"LD_LIBRARY_PATH": libraries})
        assert err == "spprof: ship: libcurl is not there (Debian: libcurl4); nothing can be sent\n" and not r.got and left(directory) == names, err


@case
def too_slow(b):
    """A request that takes too long is given up, and made again."""
    need_curl(b)
    directory, _ = several(b, 1)
    done = threading.Event()
    with Receiver(lambda handler: done.wait(100)) as r:
        err = ship(b, "--once", "--timeout", "3s", "--retry", "10ms", "--to", r.url(), directory)
        done.set()
        assert len(r.got) == 2 and "Timeout" in err and left(directory) == [], err


@case
def receiver_restarts(b):
    """Nobody is there, then somebody is, who goes, and comes again: every profile arrives."""
    need_curl(b)
    directory, names = several(b, 6)
    port = free_port()
    p = begin(b, "--retry", "50ms", "--to", f"http://127.0.0.1:{port}", directory)
    first = p.stderr.readline()
    assert "tried again" in first, first
    with Receiver(answer(200), answer(200), *[hang_up] * 999, port=port) as r:
        r.await_requests(3)
    taken = 2
    with Receiver(port=port) as r:
        await_left(directory, [])
        p.terminate()
        err = first + ended(p)
        assert taken + len(r.got) == len(names), (err, len(r.got))
        assert err.count("answers again") >= 2 and "spprof: 6 sent\n" in err, err


@case
def by_tls(b):
    """By a certificate that is not trusted nothing is sent; --ca trusts it; a name that is not its own is refused all the same."""
    need_curl(b)
    directory, names = several(b, 1)
    files, other = certificate(b.fresh()), certificate(b.fresh(), "127.0.0.9")
    with Receiver(certificate=files) as r:
        err = ship(b, "--once", "--retry", "1ms", "--to", r.url(), directory, status=1)
        assert "certificate" in err.lower() and r.got == [] and left(directory) == names, err
        ship(b, "--once", "--retry", "1ms", "--ca", other[0], "--to", r.url(), directory, status=1)
        assert r.got == []
        ship(b, "--once", "--ca", files[0], "--to", r.url(), directory)
        assert len(r.got) == 1 and left(directory) == []
    directory, names = several(b, 1)
    with Receiver(certificate=other) as r:
        ship(b, "--once", "--retry", "1ms", "--ca", other[0], "--to", r.url(), directory, status=1)
        assert r.got == [] and left(directory) == names


@case
def not_elsewhere(b):
    """A redirection is not followed: what is in the headers is meant for one server."""
    need_curl(b)
    directory, names = several(b, 1)
    with Receiver() as other, Receiver(*[answer(s) for s in (301, 307, 308)]) as r:
        r.answers[:] = [answer(s, Location=other.url("/x")) for s in (301, 307, 308)]
        for _ in range(3):
            err = ship(b, "--once", "--header", "X-Key: 12345678", "--to", r.url(), directory, status=1)
            assert "redirections are not followed" in err and str(other.port) not in err, err
        assert len(r.got) == 3 and other.got == [] and left(directory) == names


@case
def hidden_headers(b):
    """Headers are not to be seen among the processes, nor is a password in an address taken; what cannot be used is refused."""
    need_curl(b)
    directory, _ = several(b, 1)
    secret = os.path.join(b.fresh(), "headers")
    with open(secret, "w") as f:
        f.write("# of the vault\n\nX-Scope-OrgID: tenant-77\r\n")
    with Receiver(answer(503)) as r:
        p = begin(b, "--retry", "100s", "--header", "Authorization: Basic abcdefgh", "--header-file", secret, "--to", r.url(), directory)
        got = r.await_requests(1)[0]
        with open(f"/proc/{p.pid}/cmdline", "rb") as f:
            line = f.read()
        assert got.headers["Authorization"] == "Basic abcdefgh" and got.headers["X-Scope-OrgID"] == "tenant-77"
        assert b"Basic" not in line and b"tenant" not in line and b"--header\0" in line, line
        p.terminate()
        assert "abcdefgh" not in ended(p)
    to = ("--to", "http://h")
    for args, words in ((("--to", "http://me:hunter2@localhost"), "--header-file"), (("--to", "ftp://x"), "no address"), (("--to", "http://"), "no host"),
                        ((), "is wanted"), ((*to, "--header", "no colon hunter2"), "no header"), ((*to, "--header", "A: b\nhunter2: c"), "control"),
                        ((*to, "--header", "Content-Type: hunter2"), "leave it out"), ((*to, "--queue-limit", "x"), "no size"),
                        ((*to, "--retry", "0"), "no time"), ((*to, "--ca", "/nowhere"), "No such file"), ((*to, "--header-file", "/nowhere"), "No such file"),
                        ((*to, "--protocol", "kafka"), "accepted: auto, otlp, pyroscope"), ((*to, "--queue", "/nowhere/at/all"), "No such file")):
        err = ship(b, *args, directory, status=2)
        assert words in err and "hunter2" not in err and err.count("\n") == 1, err
    assert "neither a directory" in ship(b, *to, "/etc/passwd", status=2) and "leave it out" in ship(b, *to, "--keep", os.getpid(), status=2)


if __name__ == "__main__":
    sys.exit(main())

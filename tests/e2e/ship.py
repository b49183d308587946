#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof ship: what it sends is what was recorded, once, whoever ends in between."""
import collections
import contextlib
import gzip
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import otlp  # noqa: E402
from pprof import Pprof  # noqa: E402
from receiver import Receiver, answer, certificate, free_port, half, hang_up  # noqa: E402
from sp import BUSY, Profile, Skip, case, clean_env, main, need_frames  # noqa: E402

PROGRAM = BUSY + """
import threading, spprof
def inner(): busy(0.05)
def outer():
    with spprof.span("job", n=threading.current_thread().name):
        with spprof.span("part"):
            inner()
    busy(0.02); threading.Event().wait(0.01)
ts = [threading.Thread(target=outer, name=f"pool-{i}") for i in range(3)]
for t in ts: t.start()
for t in ts: t.join()
outer()
"""
DROP = ("OTEL_", "POD_", "KUBERNETES_", "NODE_NAME", "CONTAINER_NAME", "HOSTNAME", "K8S_", "http_", "https_", "HTTP", "ALL_", "all_", "no_proxy")


def quiet_env(**extra):
    return {**{k: v for k, v in clean_env().items() if not k.startswith(DROP)}, **extra}


def begin(b, *args, env=None, cwd=None, command=()):
    return subprocess.Popen([*command, os.path.join(b.build, "spprof"), "ship", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=quiet_env(**(env or {})), cwd=cwd or b.directory, errors="backslashreplace")


def ended(p, status=0):
    try:
        out, err = p.communicate(timeout=120)
    finally:
        p.kill()
    assert p.returncode == status and out == "", (p.returncode, out, err)
    assert all(c == "\n" or c.isprintable() for c in err), err
    return err


def ship(b, *args, status=0, **how):
    return ended(begin(b, *args, **how), status)


def need_curl(b):
    said = subprocess.run([os.path.join(b.build, "spprof"), "version"], capture_output=True, text=True, check=True).stdout
    if "\nwith libcurl\n" not in said:
        raise Skip("the command was built without libcurl")


def recorded(b, out="p.pb.gz", program=PROGRAM, **env):
    """The file of a run, in a directory of its own."""
    r = b.run(program, SPPROF_OUT=out, **{"SPPROF_INTERVAL": "1ms", **env})
    (name,) = os.listdir(r.directory)
    return os.path.join(r.directory, name)


def several(b, n, out="p.pb.gz"):
    """A directory of so many copies of a profile, and their names in order of time."""
    directory, made = b.fresh(), recorded(b, out)
    names = [f"{'zyxwvutsrqponm'[i]}-{out}" for i in range(n)]  # by name they come the other way round
    for i, name in enumerate(names):
        shutil.copy(made, os.path.join(directory, name))
        os.utime(os.path.join(directory, name), (1e9 + i, 1e9 + i))
    return directory, names


def left(directory):
    return sorted(f for f in os.listdir(directory) if not f.startswith("."))


def await_left(directory, names):
    for _ in range(3000):
        if left(directory) == sorted(names):
            return
        time.sleep(0.03)
    raise AssertionError((left(directory), names))


def key(s):
    return s.stack, str(sorted(s.labels.items()))


def samples(p):
    """Of a pprof file, as OTLP tells them: a profile for each type."""
    of = collections.defaultdict(collections.Counter)
    for s in p.samples:
        for kind, value in s.values.items():
            of[kind][key(s)] += value
    return {kind: +values for kind, values in of.items()}


def same_samples(request, p):
    wanted = samples(p)
    assert {k: pr.unit for k, pr in request.profiles.items()} == dict(p.types), request.profiles.keys()
    for kind, profile in request.profiles.items():
        got = collections.Counter()
        for s in profile.samples:
            got[key(s)] += s.values
        assert got == wanted[kind], (kind, +(got - wanted[kind]), wanted[kind] - got)
        assert (profile.time_ns, profile.duration_ns, profile.period) == (p.time_ns, p.duration_ns, p.period), profile[3:6]
        assert profile.period_type == ("cpu", "nanoseconds") and profile.attributes["pprof.profile.comment"] == p.comments, profile


@case
def same_as_pprof(b):
    """A Collector is sent all that the pprof file has: each sample, label, line, library, to the nanosecond."""
    need_frames(b)
    need_curl(b)
    path = recorded(b, SPPROF_WALL=1, SPPROF_NATIVE="on")
    p = Pprof(path)
    assert any(s.labels.get("span") for s in p.samples) and any(s.labels.get("thread") == "pool-1" for s in p.samples)
    assert any(f.build_id for s in p.samples for f in s.stack)
    with Receiver() as r:
        assert ship(b, "--once", "--to", r.url(), os.path.dirname(path)) == "spprof: 1 sent\n"
        (got,) = r.got
    assert got.path == "/v1development/profiles" and got.headers["Content-Type"] == "application/x-protobuf" and left(os.path.dirname(path)) == []
    request = otlp.Request(got.body)
    same_samples(request, p)
    assert set(request.profiles) == {"samples", "wall", "cpu"} and request.scope.pop("version")
    assert request.scope == {"name": "spprof", "pprof.scope.default_sample_type": "cpu"}, request.scope
    assert request.resource["service.name"].startswith("app") and request.resource["process.pid"] == p.samples[0].labels["pid"], request.resource
    assert request.resource["process.runtime.version"].startswith("%d.%d." % b.version) and len({pr.id for pr in request.profiles.values()}) == 3


@case
def speedscope_files(b):
    """Of Speedscope's files what convert makes of them; gzip or not."""
    need_curl(b)
    for out in ("p.json", "p.speedscope.json.gz"):
        path = recorded(b, out, SPPROF_WALL=1)
        made = os.path.join(b.fresh(), "made.pb.gz")
        subprocess.run([os.path.join(b.build, "spprof"), "convert", path, "-o", made], check=True, capture_output=True)
        used = None if out.endswith("gz") else Profile(path).total()
        with Receiver() as r:
            ship(b, "--once", "--to", r.url(), os.path.dirname(path))
            same_samples(otlp.Request(r.got[0].body), Pprof(made))
            assert used in (None, otlp.Request(r.got[0].body).total()), used


@case
def pyroscope(b):
    """Pyroscope is sent the file itself, and in the address what its documentation wants there."""
    need_curl(b)
    path = recorded(b)
    p, directory = Pprof(path), os.path.dirname(path)
    env = {"OTEL_SERVICE_NAME": "shop/a b", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=eu%2C1,team=x", "POD_NAME": "shop-1"}
    with Receiver() as r:
        ship(b, "--once", "--protocol", "pyroscope", "--keep", "--queue", b.fresh(), "--to", r.url(), directory, env=env)
        ship(b, "--once", "--to", r.url("/ingest"), directory, env=env)
        assert len(r.got) == 2
    for got in r.got:
        parts = urllib.parse.urlsplit(got.path)
        query = urllib.parse.parse_qs(parts.query, strict_parsing=True)
        name, labels = query.pop("name")[0].rstrip("}").split("{")
        assert parts.path == "/ingest" and name == "shop_a_b", got.path
        labels = dict(pair.split("=") for pair in labels.split(","))
        assert labels.pop("host_name") and labels == {"deployment_environment": "eu_1", "team": "x", "k8s_pod_name": "shop-1"}, labels
        begin_s, end_s = p.time_ns / 1e9, (p.time_ns + p.duration_ns) / 1e9
        assert query["from"] == [str(int(begin_s))] and end_s <= int(query["until"][0]) < end_s + 2, (query, begin_s, end_s)
        assert query["format"] == ["pprof"] and query["spyName"] == ["spprof"], query
        copy = os.path.join(b.fresh(), "got.pb.gz")
        with open(copy, "wb") as f:
            f.write(got.body)
        assert samples(Pprof(copy)) == samples(p) and (Pprof(copy).time_ns, Pprof(copy).duration_ns) == (p.time_ns, p.duration_ns)


@case
def whose_it_is(b):
    """Resource attributes, by OpenTelemetry's variables, the pod's, and the profile."""
    need_curl(b)

    def resource(said="", **env):
        path = recorded(b, program="sum(range(10**6))\n")
        with Receiver() as r:
            err = ship(b, "--once", "--to", r.url(), os.path.dirname(path), env=env)
            assert said in err and err.count("\n") == (2 if said else 1), err
            return otlp.Request(r.got[0].body).resource
    of = resource(OTEL_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="service.name=other, a = 1%20%C3%A9 ,k8s.pod.name=mine", POD_NAME="p-1",
                  POD_NAMESPACE="ns", NODE_NAME="n7", POD_UID="u", CONTAINER_NAME="c")
    assert of.pop("process.pid") and of.pop("host.name") and of.pop("process.runtime.version")
    assert of == {"service.name": "shop", "a": "1 \u00e9", "k8s.pod.name": "mine", "k8s.namespace.name": "ns", "k8s.node.name": "n7",
                  "k8s.pod.uid": "u", "k8s.container.name": "c", "process.runtime.name": "cpython"}, of
    of = resource(KUBERNETES_SERVICE_HOST="10.0.0.1", HOSTNAME="web-5", OTEL_RESOURCE_ATTRIBUTES="service.name=listed")
    assert of["k8s.pod.name"] == "web-5" and of["service.name"] == "listed", of
    of = resource("OTEL_RESOURCE_ATTRIBUTES: is no list", OTEL_RESOURCE_ATTRIBUTES="a=1,b=%zz")
    assert "a" not in of and of["service.name"].startswith("app"), of


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
def nothing_else(b):
    """Files that are not whole, not ours, or a living process's are neither sent nor touched."""
    need_curl(b)
    path = recorded(b)
    directory = os.path.dirname(path)
    with open(path, "rb") as f:
        whole = f.read()
    others = {"p.pb.gz.tmp-17": whole, "app.log": b"x" * 999, "go.pb.gz": gzip.compress(whole), "empty": b"", "p.folded": b"# spprof \n", ".hidden.pb.gz": whole}
    for name, data in others.items():
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)
    os.symlink(path, os.path.join(directory, "link.pb.gz"))
    lives = subprocess.Popen([b.python, b.write(BUSY + "busy(0.1); print(flush=True)\nwhile 1: busy(0.1); time.sleep(0.1)\n", "lives.py")],
                             env=b.env(SPPROF_SPOOL=directory), cwd=b.fresh(), stdout=subprocess.PIPE)
    try:
        lives.stdout.readline()
        with Receiver() as r:
            ship(b, "--once", "--to", r.url(), directory)
            assert len(r.got) == 1 and set(left(directory)) == {*others, "link.pb.gz", f"spprof-{lives.pid}.spool"} - {".hidden.pb.gz"}, left(directory)
            lives.kill()
            lives.wait()
            ship(b, "--once", "--to", r.url(), directory)  # what a kill left is sent
            assert otlp.Request(r.got[1].body).resource["process.pid"] == lives.pid and not any(f.endswith(".spool") for f in left(directory))
    finally:
        lives.kill()
        lives.wait()
    for name, data in others.items():
        with open(os.path.join(directory, name), "rb") as f:
            assert f.read() == data, name


def framed(content):
    """As our files are: gzip's frame with our mark, blocks that are stored."""
    out = b"\x1f\x8b\x08\x10\0\0\0\0\0\xffspprof\0"
    for at in range(0, len(content), 65535):
        part = content[at:at + 65535]
        out += struct.pack("<BHH", 0, len(part), 0xffff ^ len(part)) + part
    return out + struct.pack("<BHHII", 1, 0, 0xffff, zlib.crc32(content), len(content) & 0xffffffff)


@case
def damaged(b):
    """A file that is cut off or damaged stays, with a line; the others go."""
    need_curl(b)
    directory, made, text = b.fresh(), recorded(b), recorded(b, "p.json")
    with open(made, "rb") as f:
        whole = f.read()
    with open(text, "rb") as f:
        json = f.read()
    content = gzip.decompress(whole)
    assert framed(content) == whole
    bad = {f"cut-{n}.pb.gz": whole[:n] for n in range(30, len(whole), max(1, len(whole) // 8))}
    bad.update({f"end-{n}.pb.gz": framed(content[:n]) for n in range(1, len(content), max(1, len(content) // 9))})
    bad.update({f"bits-{n}.pb.gz": framed(content[:n] + bytes([content[n] ^ 0x55]) + content[n + 1:]) for n in range(1, min(len(content), 900), 11)})
    bad["cut.json"] = json[:len(json) // 2]
    for name, data in bad.items():
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)
    shutil.copy(made, os.path.join(directory, "zz-good.pb.gz"))
    with Receiver() as r:
        err = ship(b, "--once", "--to", r.url(), directory, status=1)
        stay = left(directory)
        assert "zz-good.pb.gz" not in stay and "cut.json" in stay and {n for n in bad if n.startswith("cut-")} <= set(stay), stay
        assert all(f"/{n}: stays, and is not sent" in err for n in stay), err
        assert len(r.got) == len(bad) + 1 - len(stay) and len(stay) > 15, (len(r.got), len(stay))


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


STEPS = BUSY + """
import sys, threading
def left(): busy(0.03)
def right(): busy(0.02)
print(flush=True)
n = 0
while not sys.stdin.readline().startswith('end'):
    left(); right()
    for i in range(20): # threads come and go, and are summed up
        t = threading.Thread(target=left if i % 2 else right, name=f't{n % 7}')
        n += 1
        t.start(); t.join()
    print(flush=True)
"""


@contextlib.contextmanager
def steps(b):
    p = subprocess.Popen([b.python, b.write(STEPS, "steps.py")], env=b.env(SPPROF_SPOOL=b.fresh(), SPPROF_INTERVAL="1ms"), cwd=b.fresh(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        yield p
    finally:
        p.kill()
        p.wait()


def step(p):
    p.stdin.write("go\n")
    p.stdin.flush()
    p.stdout.readline()


@case
def of_a_process(b):
    """Of a process what is new each time: together exactly what was recorded, by stack, over restarts of who sends it."""
    need_frames(b)
    need_curl(b)
    queue = b.fresh()
    with Receiver(answer(200), answer(503), answer(503)) as r, steps(b) as p:
        args = ("--interval", "100ms", "--retry", "20ms", "--queue", queue, "--to", r.url(), p.pid)
        for _ in range(2):
            s, before = begin(b, *args), len(r.got)
            while len(r.got) < before + 4:
                step(p)
            s.terminate()
            ended(s)
        step(p)
        os.kill(p.pid, signal.SIGSTOP)
        ship(b, "--once", *args)
        n = len(r.got)
        ship(b, "--once", *args)  # nothing is new
        assert len(r.got) == n and left(queue) == [], left(queue)
        snapshot = os.path.join(b.fresh(), "now.pb.gz")
        subprocess.run([os.path.join(b.build, "spprof"), "snapshot", "-o", snapshot, str(p.pid)], check=True, capture_output=True)
        os.kill(p.pid, signal.SIGCONT)
        whole = Pprof(snapshot)
        taken = [otlp.Request(g.body) for i, g in enumerate(r.got) if i not in (1, 2)]
        for kind in ("cpu", "samples"):
            assert sum(q.total(kind) for q in taken) == whole.total(kind), (kind, [q.total(kind) for q in taken], whole.total(kind))
            assert all(s.values > 0 for q in taken for s in q.profiles[kind].samples)
        stacks, wanted = collections.Counter(), collections.Counter()
        for q in taken:
            for s in q.profiles["cpu"].samples:
                stacks[s.stack] += s.values
        for s in whole.samples:
            wanted[s.stack] += s.values["cpu"]
        assert stacks == +wanted, (stacks - wanted, wanted - stacks)
        times = [(q.profiles["cpu"].time_ns, q.profiles["cpu"].duration_ns) for q in taken]
        assert len(times) >= 4 and times[0][0] == whole.time_ns and all(t + d == u for (t, d), (u, _) in zip(times, times[1:])), times
        p.communicate("end\n", timeout=100)
        assert "no such process" in ship(b, *args, status=1)


@case
def until_it_ends(b):
    """A process that ends is no failure: what was taken of it is sent, and the queue that was made for it is removed."""
    need_curl(b)
    where = b.fresh()
    with Receiver() as r, steps(b) as p:
        step(p)
        s = begin(b, "--interval", "50ms", "--to", r.url("/ingest"), p.pid, cwd=where)
        while not r.got:
            step(p)
        assert os.listdir(where) == [f"spprof-ship-{p.pid}"]
        p.communicate("end\n", timeout=100)
        err = ended(s)
        assert f"process {p.pid}: there is no such process; its profile is where SPPROF_OUT says" in err and os.listdir(where) == [], (err, os.listdir(where))


@case
def goes_on(b):
    """A profile that was written while its process ran on is sent; of the whole one then only what it had not."""
    need_curl(b)
    directory = b.fresh()
    program = BUSY + "import os, signal\ndef f(): busy(0.1)\nf(); os.kill(os.getpid(), signal.SIGUSR2); print(flush=True); input(); f()\n"
    p = subprocess.Popen([b.python, b.write(program, "goes_on.py")], env=b.env(SPPROF_OUT=os.path.join(directory, "p.json"), SPPROF_SIGNAL="USR2", SPPROF_INTERVAL="1ms"),
                         cwd=b.fresh(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    with Receiver() as r:
        ship(b, "--once", "--to", r.url(), directory)
        assert len(r.got) == 1 and left(directory) == []
        p.communicate("\n", timeout=100)
        whole = Profile(os.path.join(directory, "p.json"))
        ship(b, "--once", "--to", r.url(), directory)
        first, second = (otlp.Request(g.body).total() for g in r.got)
        assert first > 0.09e9 and second > 0.09e9 and first + second == whole.total(), (first, second, whole.total())
        assert os.listdir(os.path.join(directory, ".spprof-ship")) == ["lock"], os.listdir(os.path.join(directory, ".spprof-ship"))


@case
def rotated(b):
    """What a program that rotates its profiles leaves is sent while it runs: together all that it used."""
    need_curl(b)
    directory = b.fresh()
    with Receiver() as r:
        s = begin(b, "--to", r.url(), directory)
        b.run(BUSY + "busy(2)\n", SPPROF_OUT=os.path.join(directory, "p-%n.pb.gz"), SPPROF_ROTATE="400ms")
        await_left(directory, [])
        s.terminate()
        ended(s)
        total = sum(otlp.Request(g.body).total() for g in r.got)
        assert len(r.got) >= 3 and total >= 2e9, (len(r.got), total)


if __name__ == "__main__":
    sys.exit(main())

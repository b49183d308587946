#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spprof ship: what it sends is what was recorded, and whose it is; and of what lies beside it nothing."""
import collections
import gzip
import os
import shutil
import struct
import subprocess
import sys
import urllib.parse
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import otlp  # noqa: E402
from pprof import Pprof  # noqa: E402
from receiver import Receiver  # noqa: E402
from shipping import left, need_curl, recorded, ship  # noqa: E402
from sp import BUSY, Profile, case, main, need_frames  # noqa: E402


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


if __name__ == "__main__":
    sys.exit(main())

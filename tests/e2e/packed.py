#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Profiles that somebody compressed: read as they are, however gzip's format was used; what is damaged is said."""
import gzip
import os
import random
import struct
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from convert import made, spprof  # noqa: E402
from formats import left_by_a_kill, recovered  # noqa: E402
from pprof import Pprof  # noqa: E402
from sp import CASES, Profile, case, main  # noqa: E402
from symbolize import built_with  # noqa: E402

CASES.clear()
STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def written(b, name, data):
    path = os.path.join(b.fresh(), name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def member(data, level=6, strategy=0, flags=0, block=0):
    """A member of a gzip file, with what the flags say in its head, and an end of a block after each so many bytes."""
    c = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\1\2\3\4\0\3"
    head += (b"\5\0hello" if flags & 4 else b"") + (b"name\0" if flags & 8 else b"") + (b"a comment\0" if flags & 16 else b"")
    head += struct.pack("<H", zlib.crc32(head) & 0xffff) if flags & 2 else b""
    body = b"".join(c.compress(data[i:i + block]) + c.flush(zlib.Z_FULL_FLUSH if i % 2 else zlib.Z_SYNC_FLUSH) for i in range(0, len(data), block)) if block \
        else c.compress(data)
    return head + body + c.flush() + struct.pack("<II", zlib.crc32(data), len(data) & 0xffffffff)


@case
def as_others_pack(b):
    """Each way to compress, each head; several members behind each other are one file."""
    built_with(b, "zlib")
    text = read(made(os.path.join(b.fresh(), "p.json"), {f"main;{'f' * (i % 40)}{i};g{i % 7}": 10**6 + i for i in range(3000)}))
    chance = random.Random(1)
    noise = bytes(chance.randrange(32, 127) for _ in range(200000)).replace(b'"', b"'").replace(b"\\", b"/")
    text = text.rstrip()[:-1] + b',"more":"' + noise + b'","same":"' + b"ab" * 100000 + b'"}'  # stored blocks among others, the longest repeats
    want = spprof(b, "report", "-n", "0", written(b, "p.json", text)).stdout
    files = [member(text, level, strategy) for level, strategy in [(level, 0) for level in (0, 1, 6, 9)] + [(6, s) for s in STRATEGIES]]
    files += [member(text, flags=flags) for flags in (0, 2, 4, 8, 16, 31)] + [member(text, block=n) for n in (777, 70001)]
    files += [member(text[:n]) + member(text[n:1000 * n], 9, zlib.Z_FIXED) + member(text[1000 * n:], 0) for n in (1, 33)] + [gzip.compress(text), member(text) + member(b"")]
    assert min(map(len, files)) < len(text) / 3 and len(set(files)) > 15
    for i, data in enumerate(files):
        assert gzip.decompress(data) == text
        r = spprof(b, "report", "-n", "0", written(b, "p.json.gz", data))
        assert r.stdout == want and not r.stderr, (i, r)


@case
def by_every_subcommand(b):
    """Speedscope and spool files; of a directory those that hold a profile."""
    built_with(b, "zlib")
    spool, directory = left_by_a_kill(b, SPPROF_INTERVAL="1ms"), b.fresh()
    p = Profile(recovered(b, spool, "p.json"))
    out = os.path.join(b.fresh(), "out.pb.gz")
    for path in (spool, p.path):
        packed = written(b, os.path.basename(path) + ".gz", gzip.compress(read(path)))
        spprof(b, "convert", packed, "-o", out)
        assert Pprof(out).total() == p.total() and Pprof(out).stacks() == p.stacks(), packed
    spprof(b, "symbolize", written(b, "a.json.gz", gzip.compress(read(p.path))), "-o", out + ".json")
    assert read(out + ".json") == read(p.path)
    for name, data in (("a.json.gz", gzip.compress(read(p.path))), ("b.spool.gz", gzip.compress(read(spool), 1)), ("c.gz", gzip.compress(b"text" * 100)),
                       ("d.pb.gz", gzip.compress(gzip.decompress(read(recovered(b, spool, "d.pb.gz"))))), ("e.json.gz", gzip.compress(read(p.path))[:20])):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)
    r = spprof(b, "merge", "--sum", directory, "-o", out)
    assert r.stderr.count("\n") == 1 and Pprof(out).total() == 2 * p.total(), (r.stderr, Pprof(out).total(), p.total())
    r = spprof(b, "report", os.path.join(directory, "d.pb.gz"), status=1)
    assert "holds no Speedscope file and no spool file, which alone can be read" in r.stderr and r.stderr.count("\n") == 1, r


@case
def damaged_on_the_way(b):
    """Wherever a byte is another or the file ends: a line, and no profile; a few bytes that stand for gigabytes are not unpacked."""
    built_with(b, "zlib")
    text = read(made(os.path.join(b.fresh(), "p.json"), {f"main;f{i}": 10**6 + i for i in range(40)}))
    chance = random.Random(2)
    for whole in (member(text), member(text, strategy=zlib.Z_FIXED, flags=31), member(text, 0)):
        path = written(b, "p.json.gz", whole)
        for at in sorted(chance.sample(range(2, len(whole)), min(150, len(whole) - 2))):
            for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1:]):
                if len(data) == len(whole) and at < 45:
                    continue  # of a head: who made it and when is nobody's matter
                with open(path, "wb") as f:
                    f.write(data)
                r = spprof(b, "report", path, status=1)
                assert "damaged" in r.stderr and r.stderr.count("\n") == 1 and not r.stdout, (at, r)
        with open(path, "wb") as f:
            f.write(whole + b"behind it")
        assert "damaged" in spprof(b, "report", path, status=1).stderr
    c = zlib.compressobj(9, zlib.DEFLATED, 31)
    some = b" " * (1 << 24)
    spaces = b"".join([c.compress(b"{")] + [c.compress(some) for _ in range(65)] + [c.flush()])
    for data, why in ((spaces, "unpacks to more than 1 GB; gunzip it first"), (gzip.compress(bytes(10**7)), "holds no Speedscope file")):
        r = spprof(b, "report", written(b, "p.json.gz", data), status=1)
        assert why in r.stderr and len(data) < 2 * 10**6, r


if __name__ == "__main__":
    sys.exit(main())

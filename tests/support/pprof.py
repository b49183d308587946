# SPDX-License-Identifier: MIT
"""Reads pprof files by what profile.proto says, and nothing of ours."""
import collections
import gzip

Line = collections.namedtuple("Line", "name system_name file start_line line mapping build_id address")
Sample = collections.namedtuple("Sample", "stack values labels")  # stack: lines, root first


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number of the field, its number or bytes) in turn."""
    at = 0
    while at < len(data):
        tag, at = number(data, at)
        value, at = number(data, at)
        if tag & 7 == 2:
            assert at + value <= len(data), "a field is cut off"
            at, value = at + value, data[at:at + value]
        else:
            assert tag & 7 == 0, f"wire type {tag & 7}"
        yield tag >> 3, value


def message(data):
    return dict(fields(data))


def packed(data):
    at, values = 0, []
    while at < len(data):
        value, at = number(data, at)
        values.append(value)
    return values


class Pprof:
    def __init__(self, path):
        with gzip.open(path) as f:  # which checks sum and length
            of = collections.defaultdict(list)
            for field, value in fields(f.read()):
                of[field].append(value)
        text = [s.decode("utf-8") for s in of[6]]
        assert text[0] == ""
        self.types = [(text[t[1]], text[t[2]]) for t in map(message, of[1])]
        mappings = {m[1]: m for m in map(message, of[3])}
        functions = {f[1]: f for f in map(message, of[5])}
        locations = {}
        for data in of[4]:
            where = message(data)
            line = message(where[4])
            f, m = functions[line[1]], mappings[where[2]]
            locations[where[1]] = Line(text[f.get(2, 0)], text[f.get(3, 0)], text[f.get(4, 0)], f.get(5, 0), line.get(2, 0), text[m.get(5, 0)],
                                       text[m.get(6, 0)], where.get(3, 0))
        assert len(locations) == len(of[4]) and len(functions) == len(of[5]) and all(m[7] for m in mappings.values())
        self.samples = []
        for data in of[2]:
            sample = message(data)
            told = [message(v) for field, v in fields(data) if field == 3]
            labels = {text[k[1]]: text[k[2]] if 2 in k else k[3] for k in told}
            labels.update({"span": [text[k[2]] for k in told if text[k[1]] == "span"]} if "span" in labels else {})
            values = packed(sample[2])
            assert len(values) == len(self.types), values
            stack = tuple(locations[i] for i in reversed(packed(sample[1])))
            self.samples.append(Sample(stack, dict(zip((t for t, _ in self.types), values)), labels))
        self.comments = [text[c] for c in of[13]]
        self.period, self.time_ns, self.duration_ns = of[12][0], of[9][0], of[10][0]
        self.default = text[of[14][0]]

    def total(self, kind="cpu"):
        return sum(s.values[kind] for s in self.samples)

    def stacks(self, thread=None, kind="cpu"):
        """Stack of names, root first -> ns; a module's without its path, as sp.Profile.stacks()."""
        sums = collections.Counter()
        for s in self.samples:
            if s.values[kind] and (thread is None or s.labels.get("thread") == thread):
                sums[tuple("<module>" if f.name.startswith("<module> ") else f.name for f in s.stack)] += s.values[kind]
        return sums

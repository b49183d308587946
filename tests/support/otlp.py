# SPDX-License-Identifier: MIT
"""Reads OTLP's ExportProfilesServiceRequest by what profiles/v1development/profiles.proto says, and nothing of ours. What it shares with
the reader of pprof's files are numbers of protocol buffers and the shape of what is read, so that both can be compared."""
import collections
import struct

from pprof import Line, Sample, number, packed

Profile = collections.namedtuple("Profile", "type unit samples time_ns duration_ns period period_type id attributes")


def fields(data):
    at = 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 1:
            value, at = struct.unpack("<Q", data[at:at + 8])[0], at + 8
        else:
            value, at = number(data, at)
        if tag & 7 == 2:
            assert at + value <= len(data), "a field is cut off"
            at, value = at + value, data[at:at + value]
        else:
            assert tag & 7 in (0, 1), f"wire type {tag & 7}"
        yield tag >> 3, value


def message(data, but=()):
    of = {}
    for field, value in fields(data):
        assert field not in of or field in but, f"field {field} twice"
        of[field] = value
    return of


def all_of(data, field):
    return [value for f, value in fields(data) if f == field]


def any_value(data):
    (kind, value), = fields(data)
    if kind == 5:
        return [any_value(v) for _, v in fields(value)]
    return value.decode("utf-8") if kind == 1 else bool(value) if kind == 2 else value


def pairs(all_pairs):
    of = {}
    for data in all_pairs:
        pair = message(data)
        key = pair[1].decode("utf-8")
        assert key not in of, f"{key} twice"
        of[key] = any_value(pair[2])
    return of


LABELS = {"thread.name": "thread", "thread.id": "thread_id", "process.pid": "pid", "spprof.task": "task", "spprof.span": "span"}


class Request:
    """Of one resource and one scope, as ours are."""

    def __init__(self, body):
        (of_resource,), (dictionary,) = all_of(body, 1), all_of(body, 2)
        (resource,), (of_scope,) = all_of(of_resource, 1), all_of(of_resource, 2)
        scope, = all_of(of_scope, 1)
        self.resource = pairs(all_of(resource, 1))
        self.scope = {**pairs(all_of(scope, 3)), "name": message(scope, [3])[1].decode(), "version": message(scope, [3])[2].decode()}
        table = self.tables = {i: all_of(dictionary, i) for i in range(1, 8)}
        assert [table[i][0] for i in (1, 2, 3, 5, 6, 7)] == [b""] * 6, "entry 0 of each table is the empty one"
        assert message(table[4][0]) == {1: b"\0" * 16, 2: b"\0" * 8} and len(table[4]) == 1
        for i in (1, 5, 6, 7):
            assert len(set(table[i])) == len(table[i]), f"table {i} has duplicates"
        self.text = [s.decode("utf-8") for s in table[5]]
        self.used = {i: {0} for i in range(1, 8)}
        self.attributes = [self.attribute(a) for a in table[6]]
        self.lines = [self.line(i) if i else None for i in range(len(table[2]))]
        self.profiles = {}
        for data in all_of(of_scope, 2):
            p = self.profile(data)
            assert p.type not in self.profiles
            self.profiles[p.type] = p
        for i in (5, 6, 7):
            orphans = set(range(len(table[i]))) - self.used[i]
            assert not orphans, f"table {i}: nothing refers to {sorted(orphans)[:5]}"

    def string(self, i):
        self.used[5].add(i)
        return self.text[i]

    def attribute(self, data):
        of = message(data)
        return (self.string(of[1]), any_value(of[2]), self.string(of.get(3, 0))) if of else None

    def attributes_of(self, data):
        of = {}
        for i in packed(data):
            self.used[6].add(i)
            key, value, _ = self.attributes[i]
            assert key not in of, f"{key} twice"
            of[key] = value
        return of

    def line(self, i):
        of = message(self.tables[2][i])
        line, mapping = message(of[3]), of.get(1, 0)
        function, module = message(self.tables[3][line[1]]), message(self.tables[1][mapping])
        told = self.attributes_of(module.get(5, b""))
        kind = self.attributes_of(of.get(4, b"")).get("profile.frame.type")
        name, system_name, file = (self.string(function.get(k, 0)) for k in (1, 2, 3))
        assert kind == ("native" if mapping > 1 else "cpython" if file else None), (kind, name)
        assert told["pprof.mapping.has_functions"] is True
        return Line(name, system_name, file, function.get(4, 0), line.get(2, 0), self.string(module.get(4, 0)),
                    told.get("process.executable.build_id.gnu", ""), of.get(2, 0))

    def sample(self, data):
        of = message(data)
        self.used[7].add(of.get(1, 0))
        stack = message(self.tables[7][of.get(1, 0)])
        labels = {LABELS.get(k, k): v for k, v in self.attributes_of(of.get(2, b"")).items()}
        value, = packed(of[4])
        return Sample(tuple(self.lines[i] for i in reversed(packed(stack.get(1, b"")))), value, labels)

    def value_type(self, data):
        of = message(data)
        return self.string(of[1]), self.string(of[2])

    def profile(self, data):
        of = message(data, [2])
        kind, unit = self.value_type(of[1])
        samples = [self.sample(s) for s in all_of(data, 2)]
        assert len(of[7]) == 16 and any(of[7])
        return Profile(kind, unit, samples, of.get(3, 0), of.get(4, 0), of.get(6, 0), self.value_type(of[5]), of[7],
                       self.attributes_of(of.get(11, b"")))

    def total(self, kind="cpu"):
        return sum(s.values for s in self.profiles[kind].samples)

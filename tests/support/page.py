# SPDX-License-Identifier: MIT
"""Reads the profile that stands in a page (writers/html.c)."""
import collections
import gzip
import json
import re


class Page:
    def __init__(self, path):
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            self.text = f.read().decode()
        assert self.text.startswith("<!DOCTYPE html><!-- spprof"), self.text[:80]
        blocks = re.findall(r'<script id="profile" type="application/json">([^<]*)</script>', self.text)
        assert len(blocks) == 1, len(blocks)
        self.data = json.loads(blocks[0])
        self.block = self.data["spprof"]

    def set(self, wall=False):
        return next(s for s in self.data["sets"] if s["wall"] == wall)

    def stacks(self, thread=None, wall=False):
        """Stack of names -> ns; of all threads, or of those of a name."""
        s, paths, sums = self.set(wall), [()], collections.Counter()
        for i in range(0, len(s["nodes"]), 2):
            name = self.data["functions"][s["nodes"][i + 1]][0]
            paths.append(paths[len(paths) - s["nodes"][i]] + ("<module>" if name.startswith("<module> ") else name,))
        for p in s["profiles"]:
            for node, ns in zip(p["entries"][::2], p["entries"][1::2]):
                if thread in (None, p["name"]):
                    sums[paths[node]] += ns
        return sums

    def total(self, wall=False):
        return sum(self.stacks(wall=wall).values())

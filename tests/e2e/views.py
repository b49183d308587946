#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program must not notice: what each program in views/ sees of itself is the same with the library at 1 ms."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from programs import register  # noqa: E402
from sp import main  # noqa: E402


def sees_the_same(b, program):
    r = program.check(b, SPPROF_INTERVAL="1ms")
    assert r.files(), "no profile"


register("views", sees_the_same)

if __name__ == "__main__":
    sys.exit(main())

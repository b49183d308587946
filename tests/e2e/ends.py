#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""However a process ends, as each program in ends/ does, it ends as it would have, and its profile is whole."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from programs import register  # noqa: E402
from sp import complete, main  # noqa: E402


def ends_the_same(b, program):
    complete(b, program.check(b, plain_env={"SPPROF_TEST_WORK": 0}, SPPROF_INTERVAL="4ms"), 0.06e9)


register("ends", ends_the_same)

if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""What loading costs a program that runs no Python."""
import subprocess
import tempfile
import time

from cost import PLAIN, check, compile_c, paired, preloaded


@check(100, "us")
def program_without_python():
    with tempfile.TemporaryDirectory() as d:
        exe = compile_c("int main(void) { return 0; }\n", d)

        def run(env):
            began = time.perf_counter()
            for _ in range(20):
                subprocess.run([exe], env=env, check=True)
            return (time.perf_counter() - began) / 20 * 1e6
        return paired(lambda: run(preloaded()), lambda: run(PLAIN))[0]

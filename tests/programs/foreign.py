# SPDX-License-Identifier: MIT
"""Programs with another runtime in the process, which has handlers, stacks and faults of its own."""
import shutil

from harness import BUSY, Skip, program


@program
def wasmtime(run):
    """Traps by instruction, by address and by an overflowing stack, in four threads: each a signal that its handler takes."""
    return run.do(run.python, run.write("""
import threading, time, wasmtime
engine = wasmtime.Engine()
module = wasmtime.Module(engine, '''(module
  (func $deeper (export "overflow") (param i32) (result i32) local.get 0 i32.const 1 i32.add call $deeper)
  (func (export "unreachable") unreachable)
  (memory 1)
  (func (export "outside") (result i32) i32.const 0x7fffffff i32.load)
  (func (export "spin") (param i32) (result i32) (local $i i32)
    (loop $l local.get $i i32.const 1 i32.add local.tee $i local.get 0 i32.lt_s br_if $l) local.get $i))''')
seen = []
def traps():
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, module, []).exports(store)
    for _ in range(60):
        for name, arguments in (("overflow", [0]), ("unreachable", []), ("outside", [])):
            try:
                exports[name](store, *arguments)
            except (wasmtime.Trap, wasmtime.WasmtimeError):
                seen.append(name)
        exports["spin"](store, 1000000)
threads = [threading.Thread(target=traps) for _ in range(3)]
for t in threads: t.start()
traps()
for t in threads: t.join()
print({name: seen.count(name) for name in sorted(set(seen))})
"""))


@program
def jpype(run):
    """A Java machine: its null checks and safepoints are faults, its threads' stacks have guard pages."""
    if not shutil.which("java"):
        raise Skip("no Java")
    return run.do(run.python, run.write(BUSY + """
import jpype
jpype.startJVM()
Arrays, Random, Objects = map(jpype.JClass, ("java.util.Arrays", "java.util.Random", "java.util.Objects"))
thrown = 0
for n in range(300):
    numbers = jpype.JInt[:]([Random(n).nextInt() for _ in range(500)])
    Arrays.sort(numbers)
    try:
        Arrays.sort(jpype.JObject(None, jpype.JInt[:]))
    except jpype.JException:
        thrown += 1
    busy(0.001)
jpype.JClass("java.lang.System").gc()
print(list(numbers)[:3], thrown)
jpype.shutdownJVM()
"""))

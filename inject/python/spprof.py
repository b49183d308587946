"""Profile this program from inside: where its CPU time goes, by Python stack.

spprof runs in this process already: it was preloaded (LD_PRELOAD, or `spprof run`). As a rule it records from the start to the
end, and writes the file that SPPROF_OUT names. The functions here cut a part out of that, and change nothing of it:

    import spprof

    with spprof.Profiler() as p:
        work()
    p.profile.save("work.json")          # for https://www.speedscope.app

or start() and stop(), or @spprof.profile on a function. One part at a time is cut out, a *window*, whichever thread opens it;
it covers all threads. Where nothing is recorded (SPPROF_START=off, or the time of SPPROF_DURATION is over) a window is a
recording of its own, and nothing is recorded before and after it.

Times are CPU time in nanoseconds where a name ends in _ns. All functions may be called in any thread, in atexit functions, in
Python's signal handlers, and in children of os.fork(), where no window is open at first: the parent's is the parent's. While they
work other Python threads run. Rotation and end of the recording by the clock (SPPROF_ROTATE, SPPROF_DURATION) wait for the end of
a window. A process that ends while a window is open writes its file as ever; the window is lost.
"""
# All but what decorating and compressing want: a property may be read in a signal handler, or in a fork child, where an import that
# was interrupted never ends.
import collections as _collections
import functools as _functools
import json as _json
import os as _os

__all__ = ["start", "stop", "is_active", "stats", "snapshot", "register_thread", "unregister_thread", "library_path", "Profiler", "profile",
           "Profile", "Sample", "Frame", "Thread", "ProfilerStats", "NotPreloaded"]


class NotPreloaded(RuntimeError):
    """spprof's library is not in this process, which runs this text from a file: it says the command that helps."""


def _not_preloaded(*_):
    import shlex
    import sys
    command = getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]
    raise NotPreloaded("spprof is not loaded in this process, and cannot be later; start it so: spprof run "
                       + " ".join(map(shlex.quote, command)))


# put here before this text runs, by module.c
_facts, _start, _stop, _is_active, _look, _snapshot, _register = (
    globals().get(name, _not_preloaded) for name in ("_facts", "_start", "_stop", "_is_active", "_look", "_snapshot", "_register"))
_KNOWN = "0.1.0", [  # of each format its key, suffixes, and whether it is always in a gzip frame
    ("speedscope", [".speedscope.json", ".json", None], 0),
    ("pprof", [".pb.gz", ".pprof", None], 1),
    ("chrome", [".trace.json", ".trace", None], 0), ("html", [".html", ".htm", None], 0),
    ("collapsed", [".collapsed", ".folded", ".txt"], 0)]
__version__, _formats, _native, _address = (*_KNOWN, None, None) if _facts is _not_preloaded else _facts()
_keys = [key for key, _, _ in _formats]
_DONE, _BEGUN, _IS_OPEN, _IS_NONE, _OFF, _NO_MEMORY, _LOST, _BUSY = range(8)
_window = None  # which was opened last


class Frame(_collections.namedtuple("Frame", "function file line")):
    """A function on a stack.

    function  its qualified name (3.9 and 3.10: its name), a native function's name, or one in parentheses for what is no
              function, such as "(import)"
    file      its file, or the library of a native function; "" if there is none
    line      the first line of the function, or with SPPROF_LINES=1 the line that ran; 0: none
    """
    __slots__ = ()


class Sample(_collections.namedtuple("Sample", "frames thread_id thread_name weight_ns")):
    """A stack, and the CPU time that it stands for: samples of one stack that follow each other are one.

    frames       of Frame, outermost first
    thread_id    as the system numbers threads (threading.get_native_id()); 0: several threads together
    thread_name  as threading has it
    weight_ns    CPU time
    """
    __slots__ = ()


class Thread(_collections.namedtuple("Thread", "id name cpu_ns samples")):
    """A thread that used CPU time: its id (threading.get_native_id(); 0: the lightest of many together), name, CPU time, and how
    often it was looked at."""
    __slots__ = ()


class ProfilerStats(_collections.namedtuple("ProfilerStats", "samples dropped cpu_ns duration_ns interval_ns threads")):
    """What was recorded.

    samples      how often a thread was looked at
    dropped      of them, those that show no Python stack where one was: a check failed, or there was no room
    cpu_ns       CPU time that the process used
    duration_ns  time that passed
    interval_ns  CPU time of a thread between two samples of it, as it came out
    threads      how many used CPU time
    """
    __slots__ = ()


class Profile:
    """What was recorded between two moments. Immutable; pickles travel to processes without spprof's library.

    samples, frames, threads, duration and stats are read from the profile when they are asked for first.
    """
    __slots__ = ("_texts", "_read")

    def __init__(self, texts):
        object.__setattr__(self, "_texts", tuple(texts))  # key of the format, bytes: the first is Speedscope's
        object.__setattr__(self, "_read", {})

    def __setattr__(self, name, *value):
        raise AttributeError(f"a Profile cannot be changed; {name} was to be {'set' if value else 'deleted'}")
    __delattr__ = __setattr__

    def __reduce__(self):
        return Profile, (self._texts,)

    def __eq__(self, other):
        return self._texts == other._texts if isinstance(other, Profile) else NotImplemented

    def __hash__(self):
        return hash(self._texts)

    def __repr__(self):
        s = self.stats
        return f"<spprof.Profile: {s.samples} samples, {s.cpu_ns / 1e9:.3f} s CPU in {self.duration:.3f} s, {s.threads} threads>"

    def _json(self):
        return self._once("json", lambda: _json.loads(self._texts[0][1]))

    def _once(self, name, make):
        if name not in self._read:
            self._read[name] = make()
        return self._read[name]

    @property
    def frames(self):
        """The functions that samples name, a tuple of Frame."""
        return self._once("frames", lambda: tuple(
            Frame(f["name"], f.get("file", ""), f.get("line", 0)) for f in self._json()["shared"]["frames"]))

    def _profiles(self):
        """(id, name, profile of Speedscope's) of each thread, or group of threads."""
        data = self._json()
        ids = {t["profile"]: _who(t) for t in data["spprof"]["threads"] if t.get("profile") is not None}
        # names are the program's: of several the first is the sum of the others, and those of whole lives come last
        n = data["spprof"].get("wall", {}).get("profile", len(data["profiles"]))
        for i, p in list(enumerate(data["profiles"]))[n > 1:n]:
            yield ids.get(i, (0, p["name"])) + (p,)

    @property
    def samples(self):
        """Stacks and their CPU time, a tuple of Sample: thread after thread, in order of time as far as that was kept; last what no
        thread's clock shows. Their sum is stats.cpu_ns."""
        def make():
            frames, block = self.frames, self._json()["spprof"]
            all = [Sample(tuple(frames[i] for i in stack), tid, name, weight)
                   for tid, name, p in self._profiles() for stack, weight in zip(p["samples"], p["weights"])]
            rest = block["cpu"]["used"] - sum(s.weight_ns for s in all)
            if rest > 0:
                what = "(not sampled)" if block["losses"]["no_slot"] else "(thread start/end)"
                all.append(Sample((Frame(what, "", 0),), 0, "", rest))
            return tuple(all)
        return self._once("samples", make)

    @property
    def threads(self):
        """Who used CPU time, the main thread first and then the busiest, a tuple of Thread."""
        return self._once("threads", lambda: tuple(
            Thread(*_who(t), t["cpu"], t["samples"]) for t in self._json()["spprof"]["threads"]))

    @property
    def duration(self):
        """Seconds that passed."""
        return self._json()["spprof"]["wall_ns"] / 1e9

    @property
    def stats(self):
        """What was recorded and what was not, a ProfilerStats."""
        block = self._json()["spprof"]
        losses = block["losses"]
        dropped = sum(losses["unwalkable"].values()) + losses["overflow"]
        return ProfilerStats(block["samples"], dropped, block["cpu"]["used"], block["wall_ns"], block["effective_interval_ns"],
                             sum(t.get("others", 1) for t in block["threads"]))

    def to_speedscope(self):
        """The profile as JSON for https://www.speedscope.app, bytes."""
        return dict(self._texts)["speedscope"]

    def to_collapsed(self):
        """A line for each stack, "outer;inner 1234" in microseconds, for flamegraph.pl and its like; bytes, UTF-8."""
        return dict(self._texts)["collapsed"]

    def to_pprof(self):
        """The profile for `go tool pprof` and its like, in its gzip frame; bytes."""
        return dict(self._texts)["pprof"]

    def save(self, path_or_file, format=None):
        """Write the profile to a file, or to an object that takes bytes by write().

        format  "speedscope", "collapsed", "pprof", "chrome" or "html"; None: by the suffix of the name (.json, .collapsed, .pb.gz ...;
                ".gz" behind it compresses), "speedscope" where there is none that is known

        A file of that name is replaced. Raises OSError as open() does, ValueError for a format that is not known.
        """
        write, name = getattr(path_or_file, "write", None), getattr(path_or_file, "name", "")
        if write is not None:
            write(dict(self._texts)[_format_of(name if isinstance(name, (str, bytes)) else "", format)])
            return
        path = _os.fspath(path_or_file)
        _write(path, dict(self._texts)[_format_of(path, format)])


def _who(thread):
    """Id and name of a thread, or of the lightest together, in the block of the JSON."""
    others = thread.get("others")
    return (0, f"({others} other threads)") if others else (thread.get("tid") or 0, thread.get("name", ""))


def _write(path, data):
    """To a file; in a gzip frame if its name wants one and the format does not always have it."""
    if path.endswith(b".gz" if isinstance(path, bytes) else ".gz") and data[:2] != b"\x1f\x8b":
        import zlib
        stored = zlib.compressobj(0, zlib.DEFLATED, -15)  # as the library's own (writers/gzip.c), which `spprof report` reads
        frame = b"\x1f\x8b\x08\x10\0\0\0\0\0\xffspprof\0", stored.compress(data), stored.flush()
        data = b"".join(frame) + zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xffffffff).to_bytes(4, "little")
    with open(path, "wb") as f:
        f.write(data)


def _format_of(path, format):
    if format is not None:
        accepted = f"format must be one of {', '.join(map(repr, _keys))}"
        if not isinstance(format, str):
            raise TypeError(f"{accepted} or None, not {type(format).__name__}")
        if format not in _keys:
            raise ValueError(f"{accepted}, not {format!r}")
        return format
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    fits = [(len(s), key) for key, suffixes, _ in _formats for s in suffixes if s and path.endswith((s, s + ".gz"))]
    return max(fits)[1] if fits else _keys[0]


_WHY = {
    _IS_OPEN: "a window is open already; stop() ends it, and one at a time can be open in a process",
    _IS_NONE: "no window is open in this process; start() opens one",
    _OFF: "nothing can be recorded in this process; it is none of SPPROF_PROGRAMS, or it ends",
    _LOST: "the recording ended while the window was open, and what it held is in no window",
    _BUSY: "the handler of a fault interrupted spprof itself here",
}


def _check(result):
    if result == _NO_MEMORY:
        raise MemoryError("there is no memory for the profile; the window is closed, and the program's own file is whole")
    if result not in (_DONE, _BEGUN):
        raise RuntimeError(_WHY[result])


def _number(name, value, low, high):
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number from {low} to {high}, or None, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value!r}")
    return value


def _wish(interval_ms, memory_limit_mb, native):
    """What _start() takes, or an error that names what was wrong."""
    interval = _number("interval_ms", interval_ms, 0.1, 10000)
    memory = _number("memory_limit_mb", memory_limit_mb, 1, 4096)
    if native is not None and not isinstance(native, bool):
        raise TypeError(f"native must be True, False or None, not {type(native).__name__}")
    if native is not None and _native is not None and native != bool(_native):
        raise ValueError(f"native={native} cannot be had: that is chosen when the process starts, by SPPROF_NATIVE={'on' if native else 'off'}")
    return round(interval * 1e6), int(memory * 1048576)


def start(interval_ms=None, *, memory_limit_mb=None, native=None):
    """Open a window: stop() returns what the process did meanwhile.

    interval_ms      CPU time of a thread between two samples, 0.1 to 10000 ms
    memory_limit_mb  memory that the recording may use at most, 1 to 4096 MB
    native           whether native frames are on the stacks; as SPPROF_NATIVE says, for it is chosen when the process starts

    None: as the environment says (SPPROF_INTERVAL, 10 ms; SPPROF_MEMORY, 100 MB). Where a recording goes on anyway, a window is a
    part of it and has its interval and its memory: interval_ms and memory_limit_mb are checked, and take effect only where nothing
    is recorded. Profile.stats tells what came out. The window itself takes a copy of what is recorded, twice: at start() and at
    stop().

    Raises RuntimeError if a window is open, TypeError or ValueError for an argument, MemoryError.
    """
    global _window
    interval, memory = _wish(interval_ms, memory_limit_mb, native)
    _check(_start(interval, memory))
    _window = object()


def stop():
    """Close the window, and return what it holds, a Profile. RuntimeError if none is open."""
    result, texts = _stop()
    _check(result)
    return Profile(zip(_keys, texts))


def is_active():
    """Whether a window is open in this process. The recording that goes on from the start to the end is none."""
    return _is_active is not _not_preloaded and bool(_is_active())


def _look_at(whole, key):
    result, texts = _look(whole, _keys.index(key))
    if result == _IS_NONE:
        raise RuntimeError("nothing is recorded in this process now; start() begins")
    _check(result)
    return texts[0]


def stats():
    """What the open window holds so far, or if none is open all that was recorded since the process started, a ProfilerStats.
    RuntimeError if nothing is recorded."""
    return Profile([("speedscope", _look_at(False, "speedscope"))]).stats


def snapshot(path=None):
    """Write all that was recorded so far, and go on; returns the name of the file.

    path  where to; the suffix chooses the format as in Profile.save(). None: where the process's own file goes (SPPROF_OUT), which
          the end replaces

    RuntimeError if nothing is recorded, or the file cannot be written (spprof says why on stderr); OSError as open() raises it.
    """
    if path is None:
        written = _snapshot()
        if written is None:
            raise RuntimeError("nothing is recorded in this process now, or its file cannot be written")
        return written
    name = _os.fspath(path)
    _write(name, _look_at(True, _format_of(name, None)))
    return name


def register_thread():
    """Look at the calling thread from now on, if nothing does. Threads of threading, and of C code, are known without; those that
    a program makes by the system call alone are found within a second. Harmless when it is known, and twice."""
    _register()


def unregister_thread():
    """The counterpart of register_thread(). A thread's end is noticed without, so it does nothing."""


def library_path():
    """The file of spprof's library: what LD_PRELOAD of a program is to hold. FileNotFoundError if there is none."""
    if _address is None:
        here = _os.path.dirname(_os.path.abspath(__file__))
        paths = [_os.path.normpath(_os.path.join(here, p)) for p in ("libspprof.so", "../../lib/spprof/libspprof.so")]
    else:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            rows = [line.rstrip("\n").split(None, 5) for line in maps]
        paths = [row[-1] for row in rows if int(row[0].split("-")[0], 16) <= _address < int(row[0].split("-")[1], 16)]
    for path in paths:
        if _os.path.exists(path):
            return path
    raise FileNotFoundError("spprof's library is in none of: " + ", ".join(paths))


class Profiler:
    """A window as a context manager: `with Profiler() as p: ...`, then p.profile is what it holds, a Profile.

    Takes start()'s arguments. May be used again, one time after the other. Inside another window it raises RuntimeError, and that
    one goes on. A child that is forked in it and leaves it there too has no part in it. If somebody called spprof.stop() meanwhile
    p.profile is None.
    """

    def __init__(self, interval_ms=None, *, memory_limit_mb=None, native=None):
        _wish(interval_ms, memory_limit_mb, native)
        self._options = {"interval_ms": interval_ms, "memory_limit_mb": memory_limit_mb, "native": native}
        self._window = self.profile = None

    def start(self):
        """As the beginning of `with`."""
        start(**self._options)
        self._window, self.profile = _window, None
        return self
    __enter__ = start

    def stop(self):
        """As its end; returns the Profile."""
        if not self._is_open():
            raise RuntimeError("this Profiler has no open window; start() opens one, and spprof.stop() closes whichever is open")
        self._window = None
        self.profile = stop()
        return self.profile

    def _is_open(self):
        return self._window is not None and self._window is _window and is_active()

    def __exit__(self, *exception):
        if self._is_open():
            self.stop()


def profile(function=None, *, path=None, interval_ms=None, memory_limit_mb=None, native=None):
    """Decorator: each call of the function is a window. `@profile` or `@profile(path="calls.json")`.

    path  where each call's profile is saved, in the place of the one before; None: nowhere. If that fails there is a
          RuntimeWarning, and the call returns or raises what it would

    The others are start()'s. The last call's Profile is the decorated function's `last_profile`. Functions, methods, generators,
    async functions and async generators: their windows last until they are exhausted or closed, so they cover what others do
    meanwhile. A call while a window is open, a recursive one for example, runs without a window of its own.
    """
    options = {"interval_ms": interval_ms, "memory_limit_mb": memory_limit_mb, "native": native}
    _wish(**options)
    return _decorated(function, path, options) if function is not None else lambda f: _decorated(f, path, options)


class _Call:
    """A window around a call; none if one is open."""

    def __init__(self, wrapper, path, options):
        self._wrapper, self._path, self._profiler = wrapper, path, Profiler(**options)

    def __enter__(self):
        self._is_open = False
        if not is_active():
            try:
                self._profiler.start()
                self._is_open = True
            except RuntimeError:  # another thread's came first
                pass
            except MemoryError as e:
                self._warn(e)

    def __exit__(self, *exception):
        if not self._is_open:
            return
        try:  # what the function returns or raises is the program's
            self._profiler.__exit__()
            self._wrapper.last_profile = self._profiler.profile
            if self._path is not None and self._profiler.profile is not None:
                self._profiler.profile.save(self._path)
        except (RuntimeError, MemoryError, OSError) as e:
            self._warn(e)

    def _warn(self, e):
        import warnings
        try:
            warnings.warn(f"spprof: no profile of a call of {self._wrapper.__qualname__}: {e}", RuntimeWarning, stacklevel=4)
        except RuntimeWarning:  # -W error: the call is the program's all the same
            pass


def _decorated(function, path, options):
    import inspect
    import types
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_decorated(function.__func__, path, options))
    if not callable(function):
        raise TypeError(f"profile decorates a function, not {type(function).__name__}")
    if inspect.isasyncgenfunction(function):
        async def call(*args, **kwargs):
            with _Call(call, path, options):
                inner = function(*args, **kwargs)
                try:
                    value = await inner.__anext__()
                    while True:
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as e:
                            value = await inner.athrow(e)
                        else:
                            value = await inner.asend(sent)
                except StopAsyncIteration:
                    pass
                finally:
                    await inner.aclose()
    elif inspect.iscoroutinefunction(function):
        async def call(*args, **kwargs):
            with _Call(call, path, options):
                return await function(*args, **kwargs)
    elif inspect.isgeneratorfunction(function):
        def call(*args, **kwargs):
            with _Call(call, path, options):
                return (yield from function(*args, **kwargs))
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE:
            call = types.coroutine(call)
    else:
        def call(*args, **kwargs):
            with _Call(call, path, options):
                return function(*args, **kwargs)
    call = _functools.wraps(function)(call)
    call.last_profile = None
    return call

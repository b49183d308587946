

# spans.py: with spprof.py one text, and in a wheel one file. What is open in a context is the value of a context variable, a chain
# from the innermost: (number, span, what it is in, name, tags). The library reads the number where a sample finds the thread.
# Nothing here looks at the module: at an interpreter's end that is empty before the program's last objects are gone.
globals()["__all__"] += ["span", "tag"]


class _Spans:
    OTHER = 1 << 20
    new = None  # of the library; None: nothing looks at it

    def __init__(self, objects=None, learn=None, new=None):
        self.numbers = {}  # (number of the one that it is in, or 0; text): number
        self.open = objects and self.begin(*objects(), learn)
        self.new = new

    def begin(self, variable, context, learn):
        def within(context, others):
            for i in range(others):
                type(variable)(str(i)).set(i)
            value = (self.OTHER, variable)
            variable.set(value)
            return learn(context, variable, hash(variable), value, value[0], value[0], not others)

        many = type(context)()
        context.run(within, context, 0) and many.run(within, many, 200)
        return variable

    def number(self, outer, name, tags):
        if not self.new:
            return 0
        text = self.text(name, tags) if tags else name
        key = outer[0] if outer is not None else 0, text
        try:  # not get(): without a GIL that takes the dict's lock, which a daemon thread keeps for ever when the interpreter ends
            return self.numbers[key]
        except KeyError:
            return self.make(*key)

    def text(self, name, tags):
        parts = [name] if name else []
        for key, value in tags.items():
            try:
                parts.append(f"{key}={value!s}")
            except Exception as e:  # of a __str__() of the program's
                parts.append(f"{key}=({type(e).__name__})")
        return " ".join(parts)

    def make(self, within, text):
        data = text.encode("utf-8", "backslashreplace").replace(b"\0", b"\xe2\x90\x80")[:111]
        number = self.new(within, data.decode("utf-8", "ignore"))
        if number not in (within, self.OTHER):  # told apart
            self.numbers[within, text] = number
        return number


class span:
    """What runs in `with spprof.span("checkout", order=17):` stands under a frame "span checkout order=17" in every profile: the
    outermost of its stacks, above asyncio's task. Spans inside spans are frames inside frames.

    name  what is worked on, a str: of 111 bytes with the tags, the rest is cut
    tags  what it is for, shown as str() shows them

    A span is of the context that it is opened in, as contextvars has it: coroutines that wait in it and tasks and executors that are
    given a copy of it belong to it, other threads do not unless they inherit contexts. Open over a generator's yield it covers who
    consumes that; one that ends takes along those that were opened in it and are still open. One object may be used again, by several
    at once. The first 1,000 that are different in a process are told apart; others, and what is more than 16 deep, are what they are
    in, or "(other spans)": tag with few values. Native threads are in none. Without the library a span does nothing.
    """
    __slots__ = ("_name", "_tags")
    _spans = _Spans(*map(globals().get, ("_span_objects", "_span_learn", "_span_new")))

    def __init__(self, name, /, **tags):
        if not isinstance(name, str):
            raise TypeError(f"a span's name must be a str, not {type(name).__name__}")
        self._name, self._tags = name if type(name) is str else str.__str__(name), tags

    def __enter__(self):
        spans = self._spans
        if spans.open is not None:
            outer = spans.open.get()
            spans.open.set((spans.number(outer, self._name, self._tags), self, outer, self._name, self._tags))
        return self

    def __exit__(self, *exception):
        spans = self._spans
        at = spans.open.get() if spans.open is not None else None
        while at is not None and at[1] is not self:
            at = at[2]
        if at is not None:
            spans.open.set(at[2])


def tag(**tags):
    """Add tags to the span that is open here, innermost; where none is open what follows in this context gets a span of nothing
    else. They last as long as the span, and of two of one name the later is shown."""
    spans = getattr(span, "_spans", None)
    if spans is None or spans.open is None:
        return
    before, opened, outer, name, old = spans.open.get() or (0, None, None, "", {})
    tags = {**old, **tags}
    number = spans.number(outer, name, tags)
    if number in (outer[0] if outer else 0, spans.OTHER):  # not told apart: what it was
        number = before or number
    spans.open.set((number, opened, outer, name, tags))

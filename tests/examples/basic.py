"""A program with one slow function.

    LD_PRELOAD=$PWD/build/libspprof.so SPPROF_OUT=basic.json python3 tests/examples/basic.py
    build/spprof report basic.json

`count_words` should be on top.
"""
import collections

TEXT = open(__file__, encoding="utf-8").read() * 5000


def count_words(text):
    counts = collections.Counter()
    word = []
    for c in text:
        if c.isalnum():
            word.append(c)
        elif word:
            counts["".join(word)] += 1
            word.clear()
    return counts


def main():
    for word, n in count_words(TEXT).most_common(3):
        print(n, word)


main()

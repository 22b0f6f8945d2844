"""Damaged copies of files, in every way that disks, networks and people damage them; the same ones each time."""

import json
import random
import signal
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np

WAYS = ("cut", "flipped", "zeroed", "moved", "emptied", "swapped", "changed")


def damaged(content, others, count, number=0):
    """So many damaged versions of a file's bytes, each with the way in which it was damaged.

    Args:
        content: of the sound file.
        others: contents of files of other formats.
        count: how many.
        number: seeds the choices.
    """
    rng = random.Random(number)
    values = json_of(content)
    yield "emptied", b""
    for other in others:
        yield "swapped", other
    ways = [_cut, _flipped, _flipped_at_an_end, _zeroed, _moved, *([_changed] * 3 if values is not None else [])]
    for i in range(count - 1 - len(others)):
        way = ways[i % len(ways)]
        yield way.__name__.split("_")[1], way(values if way is _changed else content, rng)


def json_of(content):
    """The value of a JSON text, None where it is none."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _cut(content, rng):
    return content[: rng.randrange(len(content))]


def _flipped(content, rng, places=None):
    """Some bits of it, anywhere."""
    array = np.frombuffer(content, np.uint8).copy()
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        array[rng.choice(places or range(len(array)))] ^= 1 << rng.randrange(8)
    return array.tobytes()


def _flipped_at_an_end(content, rng):
    """Where formats keep their directories."""
    length = len(content)
    return _flipped(content, rng, [*range(min(600, length)), *range(max(length - 600, 0), length)])


def _zeroed(content, rng):
    start, length = rng.randrange(len(content)), rng.choice((1, 16, 512, 4096))
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


def _moved(content, rng):
    """A block of it stands somewhere else."""
    start, length, to = rng.randrange(len(content)), rng.choice((1, 16, 512)), rng.randrange(len(content))
    rest = content[:start] + content[start + length :]
    return rest[:to] + content[start : start + length] + rest[to:]


ODD = [None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x", "../x", [], {}, [1], {"a": 1}, [[]], "1"]


def _changed(values, rng):
    """JSON with one value of another type or range, or without it."""
    values = json.loads(json.dumps(values))
    place = values
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            place = inner
            continue
        if rng.random() < 0.2:
            del place[key]
        else:
            place[key] = rng.choice(ODD)
        break
    return json.dumps(values).encode()


class Hung(BaseException):
    """Passes by every `except Exception`."""


@contextmanager
def time_limit(seconds):
    """Raise Hung in the block after so many seconds."""

    def ring(*_):
        raise Hung(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Tally:
    """What came of damaged files, by format."""

    def __init__(self):
        self.read, self.refused, self.slowest = Counter(), Counter(), Counter()

    def add(self, name, refused, seconds):
        (self.refused if refused else self.read)[name] += 1
        self.slowest[name] = max(self.slowest[name], seconds)

    def __str__(self):
        names = sorted(self.read.keys() | self.refused.keys())
        lines = [
            f"{name:<28}{self.read[name] + self.refused[name]:>6} files: {self.refused[name]:>4} refused, "
            f"{self.read[name]:>4} read, slowest {self.slowest[name]:.1f} s"
            for name in names
        ]
        return "\n".join([*lines, f"{self.read.total() + self.refused.total()} damaged files in all"])


def timed():
    """A clock that starts now."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started

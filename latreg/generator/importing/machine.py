"""A machine for pickles that never imports and never calls anything.

A pickle is a program, and `pickle.load` runs whatever it names. Here a name stays a name: it must stand in a table of
builders, each of which makes an inert value of our own from its arguments. Opcodes beyond those that describe plain
values and such names are refused. Memory grows with the length of the file and not with what the file claims, since
`pickletools` reads no more bytes than there are and builders must not make more than they are given.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from latreg.errors import LatregError

Builder = Callable[[tuple[Any, ...]], Any]

MAX_OPCODES = 500_000  # a generator of StyleGAN2 with its discriminator takes some 60,000
MAX_INT = 2**63  # of a key: a longer one is slow to hash, and many can be made that all have the same hash

_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Name:
    """What a pickle would import."""

    path: str  # module.attribute


class Inert:
    """Base of values that a pickle may complete after it made them."""

    def complete(self, state: Any) -> None:
        """Take over the state that the pickle holds for this value."""
        raise NotImplementedError


class Budget:
    """How many opcodes may still be read: of a pickle, of the pickles inside it, and what builders copy.

    A pickle may ask for the same value a million times, so what takes time or memory each time must be counted.
    """

    def __init__(self, opcodes: int = MAX_OPCODES) -> None:
        self.opcodes = self.left = opcodes

    def spend(self, opcodes: int = 1) -> None:
        """Raises LatregError where nothing is left."""
        self.left -= opcodes
        if self.left < 0:
            raise LatregError(f"expected at most {self.opcodes} opcodes in a pickle, got more")


class Machine:
    """Reads one pickle after another from a file.

    Args:
        builders: by the name that a pickle gives; None = a name that is only passed on as a value.
        budget: what may be read.
        refusals: what to say of names that are known to be in the way; others get a general sentence.
        persistent: makes values of persistent ids; None = there must be none.
    """

    def __init__(
        self,
        builders: Mapping[str, Builder | None],
        budget: Budget,
        refusals: Mapping[str, str] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.builders = builders
        self.budget = budget
        self.refusals = refusals or {}
        self.persistent = persistent

    def load(self, file: BinaryIO) -> Any:
        """The value of the next pickle in a file.

        Raises:
            LatregError: it names something or does something that is not admitted, or is damaged.
        """
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}
        try:
            for opcode, argument, _ in pickletools.genops(file):
                self.budget.spend()
                self._step(opcode.name, argument)
            return self._stack.pop()
        except LatregError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
            raise LatregError(f"expected a whole pickle, but it is damaged: {str(error)[:200]}") from error

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            if len(stack) < count:
                raise IndexError("the stack is empty")
            stack[-count:] = [tuple(stack[-count:])]
        elif handler := getattr(self, f"_{name.lower()}", None):
            handler(argument)
        else:
            _refuse(name, {})

    # ---- structure

    def _proto(self, _: Any) -> None:
        """The version, and the lengths of frames: of no matter here."""

    _frame = _stop = _proto

    def _mark(self, _: Any) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _items(self) -> list[Any]:
        """What lies above the last mark, which is taken away."""
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _pop(self, _: Any) -> None:
        self._stack.pop() if self._stack else self._items()

    def _pop_mark(self, _: Any) -> None:
        self._items()

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _binput = _long_binput = _put

    def _get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _binget = _long_binget = _get

    # ---- containers

    def _tuple(self, _: Any) -> None:
        items = self._items()
        self._stack.append(tuple(items))

    def _list(self, _: Any) -> None:
        items = self._items()
        self._stack.append(items)

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._items())

    def _extend(self, items: list[Any]) -> None:
        _expect(self._stack[-1], list).extend(items)

    def _additems(self, _: Any) -> None:
        items = self._items()
        _expect(self._stack[-1], set).update(map(plain_key, items))

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._items())

    def _update(self, items: list[Any]) -> None:
        _expect(self._stack[-1], dict).update(zip(map(plain_key, items[::2]), items[1::2], strict=True))

    def _dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._update(items)

    # ---- names and what is made of them

    def _global(self, argument: str) -> None:
        self._push_name(*argument.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        attribute, module = self._stack.pop(), self._stack.pop()
        self._push_name(_expect(module, str), _expect(attribute, str))

    def _push_name(self, module: str, attribute: str) -> None:
        path = f"{module}.{attribute}"
        if path not in self.builders:
            _refuse(path, self.refusals)
        self._stack.append(Name(path))

    def _reduce(self, _: Any) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        builder = self.builders[_expect(name, Name).path]
        if builder is None:
            _refuse(f"a call of {name.path}", {})
        self._stack.append(builder(_expect(arguments, tuple)))

    _newobj = _reduce

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        _expect(self._stack[-1], Inert).complete(state)

    def _binpersid(self, _: Any) -> None:
        if self.persistent is None:
            _refuse("BINPERSID", {})
        self._stack.append(self.persistent(self._stack.pop()))


def _refuse(what: str, refusals: Mapping[str, str]) -> NoReturn:
    raise LatregError(
        refusals.get(what) or f"it asks for {what[:100]!r}, which no StyleGAN2 needs: refused, and nothing was executed"
    )


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def plain_key(value: Any) -> Any:
    """Keys are scalars: the hash of deeply nested tuples could exhaust the C stack.

    Raises:
        TypeError: it is something else, or an integer that takes long to hash.
    """
    plain = isinstance(value, str | int | float | bytes | None)
    if not plain or (isinstance(value, int) and not -MAX_INT <= value < MAX_INT):
        raise TypeError(f"expected text or a number of at most 64 bits as a key, got a value of {type(value).__name__}")
    return value

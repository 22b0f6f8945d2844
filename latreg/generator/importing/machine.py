"""A machine for pickles that never imports and never calls anything.

A pickle is a program, and `pickle.load` runs whatever it names. Here a name stays a name: where it stands in a table
of builders, its builder makes an inert value of our own from the arguments. What any other name would make, and what
would be made of that, is an `Unknown`, which holds nothing but the name: a snapshot may contain whole networks that
nobody asks for. Memory grows with the length of the file and not with what the file claims, since `Bounded` reads no
more bytes than a value may have and builders must not make more than they are given.
"""

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from latreg.errors import LatregError

Builder = Callable[[tuple[Any, ...]], Any]

MAX_OPCODES = 500_000  # a generator of StyleGAN2 with its discriminator takes some 60,000
MAX_VALUE = 2**27  # bytes of one value: a convolution of 1,024 channels in float64 has half of them
MAX_LINE = 2**20  # bytes of one value that ends at the end of a line
MAX_NAME = 200  # characters of a module and its attribute; the longest of ours has 51
MAX_INT = 2**63  # of a key: a longer one is slow to hash, and many can be made that all have the same hash

_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MISFITS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


class DamageError(LatregError):
    """A pickle that no pickler has written, in words of ours."""


@dataclass(frozen=True)
class Name:
    """What a pickle would import."""

    path: str  # module.attribute


class Inert:
    """Base of values that a pickle may complete after it made them."""

    def complete(self, state: Any) -> None:
        """Take over the state that the pickle holds for this value."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Unknown(Inert):
    """Something of a name that is none of ours: neither made nor kept."""

    path: str

    def complete(self, state: Any) -> None:
        """Whatever it is, nobody looks at it."""


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


class Bounded:
    """A file of which no read takes more memory than a value may have.

    Args:
        file: opened for reading bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        """Raises DamageError where more bytes are asked for than any value has."""
        if count > MAX_VALUE:
            raise DamageError(f"a value of {count} bytes is claimed, more than any tensor of a StyleGAN2 has,")
        return self.file.read(count)

    def readline(self) -> bytes:
        """The start of a line that is too long."""
        return self.file.readline(MAX_LINE)


class Machine:
    """Reads one pickle after another from a file.

    Args:
        builders: by the name that a pickle gives.
        budget: what may be read.
        refusals: what to say of names that are known to be in the way.
        persistent: makes values of persistent ids; None = there must be none.
    """

    def __init__(
        self,
        builders: Mapping[str, Builder],
        budget: Budget,
        refusals: Mapping[str, str] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.builders = builders
        self.budget = budget
        self.refusals = refusals or {}
        self.persistent = persistent

    def load(self, file: BinaryIO | Bounded) -> Any:
        """The value of the next pickle in a file.

        Raises:
            LatregError: it does something that is not admitted.
            DamageError: it is damaged.
        """
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}
        for name, argument, place in _opcodes(file):
            self.budget.spend()
            try:
                self._step(name, argument)
            except DamageError as error:
                raise DamageError(f"at byte {place}, {error}") from error
            except LatregError:
                raise
            except _MISFITS as error:
                raise DamageError(f"at byte {place}, {name} does not fit what comes before it") from error
        if not self._stack:
            raise DamageError("it holds no value")
        return self._stack.pop()

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
            raise LatregError(f"it has the opcode {name}, which no StyleGAN2 needs: refused, and nothing was executed")

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

    def _frozenset(self, _: Any) -> None:
        items = self._items()
        self._stack.append(set(filter(is_plain_key, items)))

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._items())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], Unknown):
            _expect(self._stack[-1], list).extend(items)

    def _additems(self, _: Any) -> None:
        items = self._items()
        if not isinstance(self._stack[-1], Unknown):
            _expect(self._stack[-1], set).update(filter(is_plain_key, items))

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._items())

    def _update(self, items: list[Any]) -> None:
        """Add keys and values, but for keys of another kind than ours, which nobody can ask for."""
        if len(items) % 2:
            raise DamageError("a key has no value")
        if not isinstance(self._stack[-1], Unknown):
            pairs = zip(items[::2], items[1::2], strict=True)
            _expect(self._stack[-1], dict).update((key, value) for key, value in pairs if is_plain_key(key))

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
        length = len(module) + len(attribute)
        path = f"{module}.{attribute}" if length < MAX_NAME else f"a name of {length} characters"
        if path in self.refusals:
            raise LatregError(self.refusals[path])
        self._stack.append(Name(path))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._made(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self._stack.pop()  # named arguments, which none of our builders takes
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        function, *arguments = self._items()
        self._stack.append(self._made(function, tuple(arguments)))

    def _inst(self, argument: str) -> None:
        arguments = tuple(self._items())
        self._global(argument)
        self._stack.append(self._made(self._stack.pop(), arguments))

    def _made(self, function: Any, arguments: Any) -> Any:
        """What a call would make, without a call."""
        if isinstance(function, Unknown):
            return function
        path = _expect(function, Name).path
        builder = self.builders.get(path)
        if builder is None or any(isinstance(argument, Unknown) for argument in _expect(arguments, tuple)):
            return Unknown(path)
        return builder(arguments)

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], dict | set | list):  # what one of our containers has beside its items
            _expect(self._stack[-1], Inert).complete(state)

    def _binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise LatregError("it needs values of another file, as no pickle of train.py does")
        self._stack.append(self.persistent(self._stack.pop()))


def _opcodes(file: BinaryIO | Bounded) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and place in the file of each opcode of the next pickle in it."""
    opcodes, place = pickletools.genops(cast(BinaryIO, file)), 0
    while True:
        try:
            opcode, argument, found = next(opcodes)
        except StopIteration:
            return
        except DamageError as error:
            raise DamageError(f"{error} behind byte {place}") from error
        except _MISFITS as error:
            end = "it ends in the middle of what begins" if not file.read(1) else "it goes on as no pickle does"
            raise DamageError(f"{end} behind byte {place}") from error
        place = found or 0
        yield opcode.name, argument, place


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise DamageError(f"a {kind.__name__} is needed, and there is a {type(value).__name__}")
    return value


def is_plain_key(value: Any) -> bool:
    """Keys are scalars: the hash of deeply nested tuples could exhaust the C stack, and long integers take long."""
    plain = isinstance(value, str | int | float | bytes | None)
    return plain and not (isinstance(value, int) and not -MAX_INT <= value < MAX_INT)

"""What the schema says of a setting beside its type and default: what it is for, and which values it may have.

Both stand at the field of the configuration's dataclass (`setting`), and all who ask read them there.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from itertools import accumulate, pairwise
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, overload

T = TypeVar("T")
Number = int | float

SPELT_OUT = 3  # choices, above which a message says "one of"
ALIKE = 0.8  # how alike a name and the beginning of another one must be to be taken for it, of 1
KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Purpose:
    """What a setting is for, which decides where it may differ."""

    free_on_resume: bool = False  # from the run that is taken up
    free_in_shards: bool = False  # of one search, which are to be merged
    free_in_repetitions: bool = False  # runs of a study that are pooled, recipes of a training that count as one


RESULT = Purpose()  # what is done to a source, or learned: it decides records and weights
SOURCES = Purpose(free_in_repetitions=True)  # which sources are searched
SHARE = Purpose(free_in_shards=True, free_in_repetitions=True)  # which of them this run searches
AMOUNT = Purpose(free_on_resume=True, free_in_repetitions=True)  # how much: a run that is taken up may do more
STEERED = Purpose(free_on_resume=True)  # of a long training, changed on the way: the model card tells
EXECUTION = Purpose(True, True, True)  # how it is computed, checked and told, which changes no result


@dataclass(frozen=True)
class Setting:
    """What is declared of one setting. Bounds and choices of a list are those of what is in it."""

    purpose: Purpose | None = None  # None = its group's
    stages: tuple[str, ...] | None = None  # whose results it is a part of; None = its group's
    low: Number | None = None
    above: Number | None = None
    high: Number | None = None
    below: Number | None = None
    choices: tuple[Any, ...] = ()
    shortest: int = 0  # of a list
    longest: int | None = None
    distinct: bool = False
    descending: bool = False  # each value below the one before
    of: str = "values"  # what a list names


@overload
def setting(default: T, **declared: Any) -> T: ...


@overload
def setting(*, factory: Callable[[], T], **declared: Any) -> T: ...


def setting(default: Any = None, *, factory: Callable[[], Any] | None = None, **declared: Any) -> Any:
    """A field of the schema with its default, or what makes one, and what `Setting` declares of it."""
    metadata = {Setting.__name__: Setting(**declared)}
    return field(default_factory=factory, metadata=metadata) if factory else field(default=default, metadata=metadata)


def declared_at(of: Field[Any]) -> Setting:
    """What a field of the schema declares."""
    return cast(Setting, of.metadata.get(Setting.__name__, Setting()))


def declared_in(
    schema: type[Any], purpose: Purpose, stages: tuple[str, ...], instead: Sequence[type[Any]] = (), prefix: str = ""
) -> dict[str, Setting]:
    """All settings of a schema by their dotted keys, those of groups too.

    Args:
        schema: a dataclass; what the schemas derived from it, which may stand in its place, have beside counts too.
        purpose: of the settings that declare none.
        stages: of the settings that name none.
        instead: schemas of groups, derived from those that the schema names.
        prefix: of the keys, with a dot at its end.
    """
    found: dict[str, Setting] = {}
    for of in fields(schema):
        declared = declared_at(of)
        own = replace(
            declared,
            purpose=declared.purpose or purpose,
            stages=stages if declared.stages is None else declared.stages,
        )
        found[prefix + of.name] = own
        if isinstance(of.type, type) and is_dataclass(of.type):
            group = next((one for one in instead if issubclass(one, of.type)), of.type)
            found |= declared_in(group, own.purpose or purpose, own.stages or (), instead, f"{prefix}{of.name}.")
    for derived in schema.__subclasses__():
        found = declared_in(derived, purpose, stages, instead, prefix) | found
    return found


def unknown(name: str, group: str, names: Sequence[str]) -> str:
    """What to say of a name that a group of settings does not have: what may have been meant, or what it has.

    Args:
        name: the last part of its key.
        group: the key of the group, "" for the whole configuration.
        names: of the group's settings.
    """
    key = f"{group}.{name}".lstrip(".")
    if similar := _similar(name, names):
        return f"{key} is no setting: did you mean {' or '.join(f'{group}.{one}'.lstrip('.') for one in similar)}?"
    return f"{key} is no setting: {group or 'the configuration'} has {', '.join(names)}"


def _similar(name: str, names: Sequence[str]) -> list[str]:
    """The names that look like it, or else begin with a word or words that do."""
    beginnings = {one: list(accumulate(one.split("_"), "{}_{}".format)) for one in names}
    return get_close_matches(name, names, n=2) or [
        one for one, words in beginnings.items() if get_close_matches(name, words, n=1, cutoff=ALIKE)
    ]


def refusal(declared: Setting, kind: Any, value: Any) -> str | None:
    """What a value must be and is not, "must be at least 1, got 0"; None where it may be.

    Args:
        declared: of the setting.
        kind: its type in the schema.
        value: None passes, since the schema has taken it.
    """
    optional, kind = isinstance(kind, UnionType), _without_none(kind)
    if value is None or kind is Any or get_origin(kind) is dict:
        return None
    if declared.choices and value not in declared.choices and get_origin(kind) is None:
        return f"must be {_alternatives(declared.choices, optional)}, got {value!r}"
    if get_origin(kind) not in (list, tuple):
        return _refusal_of_one(declared, kind, value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return f"must be a list, got {value!r}"
    elements = (_refusal_in_list(declared, get_args(kind)[0], one) for one in value)
    return next((problem for problem in elements if problem), None) or _refusal_of_list(declared, value)


def misfit(declared: Setting, kind: Any, value: Any) -> str:
    """What a value that the schema has not taken must be, "must be a whole number or null, got 'many'".

    Args:
        declared: of the setting.
        kind: its type in the schema.
        value: of another type.
    """
    if problem := refusal(declared, kind, value):
        return problem
    optional, kind = isinstance(kind, UnionType), _without_none(kind)
    wanted = "a list" if get_origin(kind) in (list, tuple) else KINDS.get(kind, "a group of settings")
    return f"must be {wanted}{' or null' * optional}, got {'null' if value is None else repr(value)}"


def _refusal_in_list(declared: Setting, kind: Any, value: Any) -> str | None:
    if get_origin(kind) is list:
        return refusal(Setting(low=declared.low, high=declared.high), kind, value)
    if declared.choices and value not in declared.choices:
        return f"must be of {', '.join(map(str, declared.choices))}, got {value}"
    return _refusal_of_one(declared, kind, value)


def _refusal_of_list(declared: Setting, values: Sequence[Any]) -> str | None:
    length, longest = len(values), math.inf if declared.longest is None else declared.longest
    repeated = len(set(map(repr, values))) < length
    if (declared.distinct and repeated) or not declared.shortest <= length <= longest:
        return f"must name {_count(declared)}{declared.of}{', each once' * declared.distinct}, got {list(values)}"
    if declared.descending and any(value >= before for before, value in pairwise(values)):
        return f"must go down from each of its {declared.of} to the next, got {list(values)}"
    return None


def _count(declared: Setting) -> str:
    """How many values a list must have: "2 ", "1 to 9 ", "one or more "."""
    low, high = declared.shortest, declared.longest
    if high is not None:
        return f"{low} " if low == high else f"{low} to {high} "
    return {0: "", 1: "one or more "}.get(low, f"{low} or more ")


def _refusal_of_one(declared: Setting, kind: Any, value: Any) -> str | None:
    if kind in KINDS and not _is_a(kind, value):
        return f"must be {KINDS[kind]}, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    allowed = _allowed(declared, value)
    return f"must be {allowed}, got {value}" if allowed else None


def _is_a(kind: type[Any], value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _alternatives(choices: Sequence[Any], optional: bool) -> str:
    if optional or len(choices) > SPELT_OUT:
        return f"{'null or ' * optional}one of {', '.join(map(str, choices))}"
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


def _allowed(declared: Setting, value: Number) -> str | None:
    """The range that a number misses; None where it does not."""
    bounds = [
        (declared.low, "at least", operator.ge),
        (declared.above, "above", operator.gt),
        (declared.high, "at most", operator.le),
        (declared.below, "below", operator.lt),
    ]
    said = {f"{words} {bound}": holds(value, bound) for bound, words, holds in bounds if bound is not None}
    if all(said.values()) and math.isfinite(value):
        return None
    if isinstance(value, int):
        return next(words for words, held in said.items() if not held)
    if declared.low is not None and declared.high is not None:
        return f"within {declared.low:g} .. {declared.high:g}"
    return " and ".join(said) or "a finite number"


def _without_none(kind: Any) -> Any:
    """`int | None` => `int`."""
    if not isinstance(kind, UnionType):
        return kind
    (only,) = (one for one in get_args(kind) if one is not NoneType)
    return only

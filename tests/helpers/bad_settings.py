"""Values that the schema does not allow, made of what it declares of each setting."""

from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, get_args, get_origin

from omegaconf import OmegaConf

from latreg.settings import Setting, declared_at

HUGE = 2**63
BASES = {
    "random": ("+experiment=mnist_random",),
    "hunt": ("+experiment=cifar10_hunt", "truncation=adaptive"),
    "mixing": ("+experiment=mnist_mixing", "classifier=callable", "truncation=fixed"),
    "sampling": ("+experiment=mnist_sampling", "classifier=torch"),
    "generator": ("+experiment=cifar10_generator_guided",),
    "judge": ("+experiment=fashion_mnist_judge_b",),
    "card": ("+experiment=mnist_generator_card",),
}


@dataclass(frozen=True)
class Leaf:
    """One setting of a composed configuration."""

    key: str
    kind: Any  # without None
    optional: bool
    declared: Setting


def leaves(cfg, prefix=""):
    """All settings that are no groups."""
    for of in fields(OmegaConf.get_type(cfg)):
        declared, key = declared_at(of), prefix + of.name
        if OmegaConf.is_missing(cfg, of.name):
            continue
        if OmegaConf.is_dict(cfg[of.name]) and get_origin(of.type) is not dict:
            yield from leaves(cfg[of.name], f"{key}.")
            continue
        optional = isinstance(of.type, UnionType)
        kind = next(one for one in get_args(of.type) if one is not type(None)) if optional else of.type
        yield Leaf(key, kind, optional, declared)


def bad_values(leaf):
    """Texts for the command line, each of which must be refused."""
    yield "${nope}"
    yield "???"
    if leaf.kind is Any or get_origin(leaf.kind) is dict:
        return
    if not leaf.optional:
        yield "null"
    if get_origin(leaf.kind) in (list, tuple):
        yield from _bad_lists(leaf)
    else:
        yield from (*_bad_ones(leaf.declared, leaf.kind), "[]", "[0]", "[[0]]", "{a:1}")


def _bad_lists(leaf):
    declared, kind = leaf.declared, get_args(leaf.kind)[0]
    yield from ("word", "3", "{a:1}", "[${nope}]", "[???]")
    if kind is Any:
        return
    yield from ("[[[0]]]", "[{a:1}]")
    if get_origin(kind) is list:
        yield from ("[3]", *(f"[[{value}]]" for value in _bad_ones(declared, get_args(kind)[0])))
    else:
        yield from ("[[]]", "[[0]]", "[null]", *(f"[{value}]" for value in _bad_ones(declared, kind)))
    good = _good(declared, kind)
    if declared.shortest:
        yield f"[{','.join([good] * (declared.shortest - 1))}]"
    if declared.longest is not None:
        yield f"[{','.join([good] * (declared.longest + 1))}]"
    if declared.distinct or declared.descending:
        yield f"[{good},{good}]"


def _good(declared, kind):
    if declared.choices:
        return str(declared.choices[0])
    return {"str": "word", "float": "0.5", "int": "1"}.get(getattr(kind, "__name__", ""), "[]")


def _bad_ones(declared, kind):
    if declared.choices:
        yield "word" if kind is str else "7"
    if kind in (int, float):
        yield from ("word", "nan", "true" if declared.choices else "[1]")
    if kind is int:
        yield "0.5"
    if kind is bool:
        yield "perhaps"
    if kind is float:
        yield from ("inf", "-inf")
    steps = {int: 1, float: 1e-3}
    if declared.low is not None:
        yield from (str(declared.low - steps[kind]), str(-HUGE))
    if declared.above is not None:
        yield from (str(declared.above), str(-HUGE))
    if declared.high is not None:
        yield from (str(declared.high + steps[kind]), str(HUGE))
    if declared.below is not None:
        yield from (str(declared.below), str(HUGE))

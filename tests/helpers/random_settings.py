"""Command lines at random: settings that may be, mixed with such that may not, of runs that would be over soon."""

import math
from typing import Any, get_args, get_origin

import numpy as np
import torch

from tests.helpers.bad_settings import BASES, bad_values, leaves
from tests.helpers.settings import composed

# What makes each base a matter of seconds. Settings that are drawn at random come behind these.
SEARCH = ("search.sources_per_class=1", "search.classes=[2,8]", "search.max_queries_per_source=12", "device=cpu")
SEARCH += ("classifier.probe_images=0",)
TRAINING = ("dataset.validation_size=10", "trainer.accelerator=cpu", "evaluation.samples=20")
TRAINING += ("evaluation.training_samples=20", "classifier.training.epochs=1", "classifier.training.batch_size=10")
TRAINING += ("validity.training.epochs=1", "generator.training.total_images=8", "generator.training.batch_size=4")
TRAINING += ("generator.training.snapshot_images=8",)
NETWORK = ("generator.channel_base=64", "generator.channel_max=8", "generator.z_dim=8", "generator.w_dim=8")
UNGUIDED = ("generator.training.guide=null", "generator.training.guide_weight=0")
LIMITS = {
    **dict.fromkeys(("random", "hunt"), SEARCH),
    "mixing": (*SEARCH, f"classifier.function={__name__}.answer"),
    "sampling": (*SEARCH, f"classifier.network={__name__}.Rows", "classifier.weights=net.pt"),
    "generator": (*TRAINING, *NETWORK, "generator.training.features=null", *UNGUIDED),
    "judge": (*TRAINING, "classifier.network=resnet", "classifier.network_args={}"),
    "card": TRAINING,
}
LARGEST = {  # of numbers that cost time or memory; larger ones may be, and are left to those who want them
    **dict.fromkeys(("search.sources_per_class", "search.uncertain_per_class", "search.workers"), 2),
    **dict.fromkeys(("search.max_queries_per_source", "search.max_queries"), 20),
    **dict.fromkeys(("classifier.training.epochs", "validity.training.epochs"), 2),
    **dict.fromkeys(("evaluation.samples", "evaluation.training_samples"), 40),
    "generator.training.total_images": 24,
    "callable.wait": 0,
}
LARGE = 70  # any other number that may be larger
WORDS = ("word", "2", "mnist", "zoo:mnist_sut", "a/b", "é", "", "x y")


class Rows(torch.nn.Module):
    """A classifier of ten classes that goes by the brightness of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(8.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight * images.mean((1, 3))[:, :20].unflatten(1, (10, 2)).mean(2)


@torch.no_grad()
def answer(images: np.ndarray) -> np.ndarray:
    """The same as a function."""
    return Rows()(torch.from_numpy(images)).softmax(1).numpy()


def command_lines(base, count, rng):
    """So many lists of overrides, the base's own and its limits among them."""
    all_leaves = [leaf for leaf in leaves(composed(*BASES[base])) if leaf.kind is not Any]
    for _ in range(count):
        drawn = rng.sample(all_leaves, rng.choice((1, 2, 3, 5)))
        bad = rng.random() < 0.5
        texts = [(leaf, good_value(leaf, rng)) for leaf in drawn]
        if bad:
            texts[0] = drawn[0], rng.choice(list(bad_values(drawn[0])))
        yield [*BASES[base], *LIMITS[base], *(f"{leaf.key}={text}" for leaf, text in texts)]


def good_value(leaf, rng):
    """Some value that the schema allows, as the command line writes it."""
    if leaf.optional and rng.random() < 0.2:
        return "null"
    declared, kind = leaf.declared, leaf.kind
    if get_origin(kind) in (list, tuple):
        return _some_list(leaf, rng)
    if get_origin(kind) is dict:
        return "{}"
    return _one(leaf.key, declared, kind, rng)


def _some_list(leaf, rng):
    declared, kind = leaf.declared, get_args(leaf.kind)[0]
    if get_origin(kind) is list:
        return rng.choice(("[[]]", "[[0],[7]]", "[[0,1,2,3]]", "[[7],[5],[3]]"))
    length = max(declared.shortest, 1) if declared.longest is None else declared.longest
    length = rng.randint(declared.shortest, min(length + 2, declared.longest or length + 2))
    values = [_one(leaf.key, declared, kind, rng) for _ in range(length)]
    if declared.distinct or declared.descending:
        values = sorted(set(values), reverse=True)
    return f"[{','.join(values)}]"


def _one(key, declared, kind, rng):
    if declared.choices:
        return str(rng.choice(declared.choices))
    if kind is bool:
        return rng.choice(("true", "false"))
    if kind is int:
        low = 0 if declared.low is None else declared.low
        high = min(LARGE, *(one for one in (declared.high, LARGEST.get(key)) if one is not None), 10**9)
        return str(rng.randint(low, max(low, high)))
    if kind is float:
        return f"{_some_float(declared, rng):.4g}"
    return f"'{rng.choice(WORDS)}'"


def _some_float(declared, rng):
    low = max((one for one in (declared.low, declared.above) if one is not None), default=-2)
    high = min((one for one in (declared.high, declared.below) if one is not None), default=max(low + 2, 4))
    inside = math.nextafter(low, high) if declared.above is not None else low
    return rng.choice((inside, rng.uniform(low, high), rng.uniform(low, high), low + (high - low) / 16))

"""The digest of code that no file holds tells changes of what answers, and nothing else."""

import pytest
import torch
from torch import nn

from latreg.classifier.adapters.bytecode import digest_of

TEXT = """
import torch
from functools import partial
limit = 3
def twice(x):
    return 2 * x
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(self.layer.weight), torch.nn.init.zeros_(self.layer.bias)
    def forward(self, x):
        return twice(self.layer(x))
net = Net()
def ask(x, scale=1.0):
    parts = [net(y) for y in x if y is not None]  # a comment
    return torch.stack(parts) * scale if "a" in {"a", "b"} else parts
class Service:
    def __init__(self):
        self.net, self.calls = net, 0
    def __call__(self, x):
        self.calls += 1
        return ask(x)
def made():
    inner = net
    return lambda x: inner(x)
"""
FORMS = ("net", "ask", "Service()", "Service().__call__", "made()", "partial(ask, scale=2.0)")


def session(text=TEXT, form="ask"):
    names = {"__name__": "__main__"}
    exec(text, names)
    return eval(form, names)


@pytest.mark.parametrize("form", FORMS)
def test_it_stays_where_only_comments_and_counters_change(form):
    other = session(TEXT.replace("# a comment", "# another\n").replace("limit = 3", "limit = 4"), form)
    assert digest_of(session(form=form)) == digest_of(other)
    service = session(form="Service()")
    before = digest_of(service)
    service([torch.zeros(2)])
    assert digest_of(service) == before


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("old", "new"), [("2 * x", "3 * x"), ("ones_", "zeros_"), ("twice(self.layer(x))", "self.layer(x)")]
)
def test_it_changes_with_what_is_reached(form, old, new):
    assert digest_of(session(form=form)) != digest_of(session(TEXT.replace(old, new), form))


@pytest.mark.parametrize(("old", "new"), [("scale=1.0", "scale=2.0"), ('"b"', '"c"'), ("* scale", "/ scale")])
def test_it_changes_with_the_function(old, new):
    assert digest_of(session()) != digest_of(session(TEXT.replace(old, new)))


@pytest.mark.parametrize("default", ["net=net", "*, net=net"])
@pytest.mark.parametrize(("old", "new"), [("ones_", "zeros_"), ("2 * x", "3 * x"), ("factor=2", "factor=3")])
def test_it_changes_with_what_a_default_holds(default, old, new):
    text = f"{TEXT}\ndef held(x, {default}, factor=2):\n    return net(x) * factor\n"
    assert digest_of(session(text, "held")) != digest_of(session(text.replace(old, new), "held"))


def test_packages_are_not_looked_into():
    assert digest_of(nn.ReLU) == digest_of(nn.Tanh)

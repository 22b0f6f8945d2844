"""Generators of the user's own, by their import path, and generators that know no classes."""

import json
import re
from pathlib import Path

import pytest
import torch

from latreg import merge, replay
from latreg.config import DatasetConfig, OwnGeneratorConfig
from latreg.errors import LatregError
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.own import load_own_generator
from latreg.interfaces import Source
from latreg.jobs.sources import label_sources
from latreg.runs.records import read_records, source_of
from latreg.search.renderer import Renderer
from latreg.search.reuse import LayerwiseGenerator
from latreg.zoo.weights import save
from tests.helpers.toys import LinearGenerator, LinearSUT

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SEARCH = ("search.sources_per_class=2", "search.classes=[3,8]", "search.max_queries_per_source=30", "device=cpu")
UNCHECKED = ("validity.gates=[label_kept]", "validity.vae=null", "strategy=hunt", *SEARCH)


@pytest.fixture
def vae(monkeypatch, tmp_path):
    """The command line that searches the example of the docs, with weights that were never trained."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from vae_generator import Decoder

    torch.manual_seed(0)
    torch.save(Decoder().state_dict(), tmp_path / "vae.pt")
    target = "generator._target_=vae_generator.VAEGenerator"
    return ("generator=own", target, f"+generator.args.weights={tmp_path / 'vae.pt'}")


@pytest.mark.parametrize("strategy", ["hunt", "random", "mixing strategy.layer_sets=[[0]]", "sampling"])
def test_the_example_of_the_docs_is_searched_and_replayed(cli, vae, strategy, tmp_path):
    run = tmp_path / "run"
    choice = f"strategy={strategy}".split()
    code, _, err = cli("dataset=mnist", *vae, *UNCHECKED, *choice, f"hydra.run.dir={run}")
    assert code == 0, err
    found = list(read_records(run))
    assert [(record.label, record.z_seed) for record in found] == [(3, 0), (8, 0), (3, 1), (8, 1)]
    assert replay.main([str(run), "--trust"]) == 0


def test_it_is_rendered_without_reuse(vae, monkeypatch, tmp_path):
    from vae_generator import VAEGenerator

    generator = VAEGenerator(str(tmp_path / "vae.pt"), torch.device("cpu"))
    assert not isinstance(generator, LayerwiseGenerator)


def test_the_path_and_the_arguments_are_checked(cli, vae, tmp_path):
    generator, target, weights = vae
    for changed, message in (
        ((generator, "generator._target_=no.such.Thing", weights), "must be the import path of a callable"),
        ((generator, target), "missing a required argument: 'weights'"),
        ((generator, target, weights, "+generator.args.size=3"), "that takes weights, size, device"),
        ((generator,), "generator._target_ must be given, but has no value"),
        ((generator, target, "+generator.args.weights=none.pt"), "it failed: FileNotFoundError: .*none.pt"),
        ((*vae, "stage=train_generator"), "stage=train_generator trains networks of latreg, got generator=own"),
    ):
        code, _, err = cli("dataset=mnist", *changed, *UNCHECKED, f"hydra.run.dir={tmp_path / 'run'}")
        assert code == 1
        assert re.search(message, err), err


class Toy(LinearGenerator):
    """LinearGenerator on 32x32, with attributes and answers that a test may spoil."""

    conditional = True

    def __init__(self, device, scale=1.0, noise=0.0, layers=8, **attributes):
        super().__init__()
        self.scale, self.noise, self.layers = scale, noise, layers
        for name, value in attributes.items():
            setattr(self, name, value)

    def map(self, z, c):
        return super().map(z, c)[:, : self.layers]

    def synthesize(self, w):
        x = super().synthesize(w)
        return x * self.scale + torch.rand(()) * self.noise


DATASET = DatasetConfig(name="toy", channels=1, resolution=16, class_names=["a", "b", "c"])


def load_toy(dataset=DATASET, **args):
    target = f"{__name__}.Toy"
    return load_own_generator(OwnGeneratorConfig(_target_=target, args=args), dataset, torch.device("cpu"))


BAD = [
    ({"id": None}, "must have the attribute id, a str, got NoneType"),
    ({"conditional": 1}, "must have the attribute conditional, a bool, got int"),
    ({"num_classes": 4}, "must have num_classes 3, got 4"),
    ({"w_avg_class": torch.zeros(2, 6)}, r"w_avg_class of .*Toy must have the shape \(3, 6\), got \(2, 6\)"),
    ({"layers": 1}, r"map of .*Toy must have the shape \(2, 8, 6\), got \(2, 1, 6\)"),
    ({"scale": 255.0}, r"synthesize of .*Toy must return images in \[0, 1\], got values from"),
    ({"layers": "all"}, "Toy was expected to give two images, but it failed: TypeError: .*slice"),
    ({"noise": 0.1}, "must return the same images for the same w: no noise"),
]


@pytest.mark.parametrize(("args", "message"), BAD)
def test_what_breaks_the_protocol_is_named(args, message):
    with pytest.raises(LatregError, match=message):
        load_toy(**args)


def test_another_size_than_the_data_has_is_named():
    other = DatasetConfig(name="toy", channels=3, resolution=32, class_names=["a", "b", "c"])
    with pytest.raises(LatregError, match=r"must have the shape \(2, 3, 32, 32\), got \(2, 1, 16, 16\)"):
        load_toy(other)
    assert load_toy().id == "linear-generator"


# ---- without classes


class Unconditional(LinearGenerator):
    conditional = False

    def map(self, z, c):
        return (self.w_avg + 2 * z)[:, None].expand(-1, self.num_ws, -1)


def labelled(per_class, classes=(0, 1, 2), **changes):
    generator = Unconditional()
    sut = LinearSUT(LinearGenerator(), sharpness=0.5)
    settings = {"first_z_seed": 0, "psi": 1.0, "min_confidence": 0.0} | changes
    renderer = Renderer(generator, "global", None, 16)
    return label_sources(renderer, sut, classes, per_class, **settings), renderer, sut


def test_sources_take_the_class_that_is_seen():
    from latreg.data.images import to_unit
    from latreg.interfaces import Proposal
    from latreg.search.recipes import Request

    sources, renderer, sut = labelled(5)
    assert len(set(sources)) == len(sources)
    images = to_unit(renderer.render([Request(source, Proposal(1.0)) for source in sources]))
    assert sut(images).argmax(1).tolist() == [source.label for source in sources]
    assert {source.label for source in sources} <= {0, 1, 2}


def test_classes_take_turns_and_more_sources_only_add():
    few, many = labelled(2)[0], labelled(4)[0]
    assert set(few) <= set(many)
    assert [s.label for s in few] == [label for _ in range(2) for label in (0, 1, 2)][: len(few)]


def test_unsure_sources_are_passed_over():
    assert set(labelled(3, min_confidence=0.9)[0]) != set(labelled(3)[0])
    with pytest.raises(LatregError, match=r"expected images of the classes \[0, 1, 2\], but of 180 none shows one"):
        labelled(3, min_confidence=1.1)


def test_a_search_without_classes_is_resumed_sharded_merged_and_replayed(cli, tmp_path):
    torch.manual_seed(0)
    arguments = {
        "z_dim": 8,
        "w_dim": 8,
        "c_dim": 0,
        "img_resolution": 32,
        "img_channels": 1,
        "channel_base": 256,
        "channel_max": 8,
        "mapping_layers": 2,
        "conv_clamp": None,
    }
    weights = tmp_path / "unconditional.safetensors"
    network = GeneratorNetwork(**arguments)
    save(weights, network.state_dict(), {"kind": "generator", "arguments": arguments}, {}, half=False)
    command = ("dataset=mnist", f"generator.weights={weights}", *UNCHECKED, "search.classes=null")
    whole, part_1, part_2 = (tmp_path / name for name in ("whole", "1", "2"))
    code, _, err = cli(*command, f"hydra.run.dir={whole}")
    assert code == 0, err
    expected = [source_of(record) for record in read_records(whole)]
    assert expected
    assert replay.main([str(whole), "--trust"]) == 0
    assert [Source(*pair) for pair in json.loads((whole / "sources.json").read_text())["sources"]] == expected
    assert cli(*command, f"hydra.run.dir={whole}", "resume=true")[0] == 0
    for number, part in enumerate((part_1, part_2), 1):
        assert cli(*command, f"search.shard={number}/2", f"hydra.run.dir={part}")[0] == 0
    assert merge.main([str(part_1), str(part_2), "-o", str(tmp_path / "merged")]) == 0
    assert [source_of(record) for record in read_records(tmp_path / "merged")] == expected

"""`import latreg`: searches, runs and networks from a notebook or a script."""

import logging
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import latreg
from latreg import replay
from latreg.classifier.networks import build
from latreg.classifier.sut import load_sut
from latreg.config import DatasetConfig, conf_dir
from latreg.runs.records import read_records
from latreg.zoo.weights import load, resolve

TINY = {"sources_per_class": 2, "classes": [2, 8], "device": "cpu", "overrides": ["search.max_queries_per_source=40"]}
MNIST = DatasetConfig(name="mnist", channels=1, resolution=32, class_names=list("0123456789"))


class Network(torch.nn.Module):
    """The shipped network as somebody else's: in gray levels of 0 .. 255, cropped to MNIST's 28x28."""

    def __init__(self):
        super().__init__()
        state, made = load(resolve("zoo:mnist_sut", "classifier"), "classifier")
        self.inner = build(made["network"], made["channels"], made["num_classes"], made["network_args"])
        self.inner.load_state_dict(state)

    def forward(self, images):
        return self.inner(torch.nn.functional.pad(images / 255, (2, 2, 2, 2)))


@cache
def shipped():
    return load_sut("zoo:mnist_sut", MNIST)


def classify(images):
    """The shipped network as a function that can be imported."""
    return shipped()(torch.from_numpy(images)).numpy()


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small search of the shipped classifier."""
    return latreg.search("zoo:mnist_sut", run_dir=tmp_path_factory.mktemp("run") / "run", **TINY)


def test_the_import_waits_for_nothing():
    code = "import latreg, sys; print(*{'torch', 'lightning', 'wandb', 'hydra', 'numpy'} & set(sys.modules))"
    code += "; assert set(latreg.__all__) <= set(dir(latreg))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_search_is_a_function_and_the_package_of_the_strategies():
    import latreg.search.engine

    assert callable(latreg.search)
    assert latreg.search.engine.Engine.__module__ == "latreg.search.engine"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        latreg.nothing  # noqa: B018


@pytest.mark.parametrize("name", latreg.__all__)
def test_every_public_name_is_documented(name):
    public = sys.modules["latreg.api"].search if name == "search" else getattr(latreg, name)
    assert public.__doc__
    if callable(public) and not isinstance(public, type):
        assert ">>> " in public.__doc__


def test_a_run_says_what_it_found(run):
    assert run.status["state"] == "done"
    assert run.config.strategy.name == "hunt"
    assert run.config.validity.min_judge_confidence == 0.9  # of experiment=mnist_hunt
    assert run.metrics["sources"] == 4
    assert (run.path / "run.log").read_text().count("of 1000 test images") == 0  # a shipped one is not someone else's
    rows = run.records()
    assert isinstance(rows, datasets.Dataset)
    assert rows[0]["source_image"].size == (32, 32)
    assert rows.features["severe_predicted"].int2str(2) == "2"
    assert sum(rows["valid_fault"]) == run.metrics["valid_faults"]
    assert "done" in repr(run)


def test_faults_are_what_the_classifier_saw(run):
    robust, valid, flips = run.faults(), run.faults("valid"), run.faults("flipped")
    counts = [run.metrics[name] for name in ("robust_faults", "valid_faults", "flipped")]
    assert [len(robust), len(valid), len(flips)] == counts == sorted(counts)
    with pytest.raises(latreg.LatregError, match="kind must be robust, valid or flipped, got 'all'"):
        run.faults("all")
    assert len(flips) > 0
    assert (flips.images.dtype, flips.images.shape[1:]) == (np.uint8, (1, 32, 32))
    answers = latreg.load_classifier("mnist", device="cpu")(flips.images)
    assert answers.argmax(1).tolist() == flips.predicted.tolist() != flips.labels.tolist()
    assert run.show(1).width > 100
    assert run.replay() == len(flips)


def test_the_command_line_leaves_the_same_records(run, cli, tmp_path):
    settings = ("search.sources_per_class=2", "search.classes=[2,8]", "device=cpu", *TINY["overrides"])
    assert cli("+experiment=mnist_hunt", *settings, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    command_line = latreg.open_run(tmp_path / "run")
    assert command_line.records().to_list() == run.records().to_list()
    assert {path.name for path in command_line.path.iterdir()} == {path.name for path in run.path.iterdir()}
    assert replay.main([str(run.path)]) == 0


def test_runs_are_compared_in_a_table(run):
    table = latreg.compare([run])
    assert table.loc[table["stratum"] == "all", "valid_faults"].item() == run.metrics["valid_faults"]
    with pytest.raises(latreg.LatregError, match="got nowhere"):
        latreg.compare(["nowhere"])


def test_the_session_is_left_as_it_was(elsewhere, caplog):
    root, own, network = logging.getLogger(), logging.getLogger("latreg"), Network()
    torch.manual_seed(7)
    expected = torch.rand(3)

    def state():
        handlers = [(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
        loggers = [(logger.level, logger.propagate, list(logger.handlers)) for logger in (root, own)]
        return handlers, loggers, dict(os.environ), torch.backends.cudnn.allow_tf32

    with initialize_config_dir(conf_dir(), version_base="1.3"):
        outer, before = GlobalHydra.instance().hydra, state()
        torch.manual_seed(7)
        with caplog.at_level(logging.WARNING):
            latreg.search(network, white=255, size=28, fit="crop", **{**TINY, "sources_per_class": 1})
        assert not [record for record in caplog.records if record.levelno < logging.WARNING]
        assert GlobalHydra.instance().hydra is outer
        assert compose("config").dataset.name == "mnist"
        assert state() == before
    assert torch.equal(torch.rand(3), expected)
    (log,) = elsewhere.glob("multirun/mnist_hunt/*/0/run.log")
    assert "right on 99.3 % of 1000 test images" in log.read_text()


def test_a_module_is_searched_as_it_is_and_stays_so(run, elsewhere):
    network = Network().train()
    settings = {"white": 255, "size": 28, "fit": "crop"}
    own = latreg.search(network, **settings, **TINY)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    for answers, expected in zip(*(one.records()["source_probabilities"] for one in (own, run)), strict=True):
        assert answers == pytest.approx(expected, abs=1e-4)
    assert own.config.classifier.name == "Network"
    assert own.replay() == len(own.faults("flipped"))
    again = latreg.search(network, **settings, **TINY, run_dir=own.path, resume=True)
    assert again.records().to_list() == own.records().to_list()
    assert latreg.open_run(own.path, network).replay() == len(own.faults("flipped"))
    network.inner.load_state_dict({name: tensor * 0 for name, tensor in network.inner.state_dict().items()})
    with pytest.raises(latreg.LatregError, match="was made with the SUT"):
        own.replay()


def changed(function):
    """Another function of the same name."""

    def other(images):
        return 1.0 * classify(images)

    other.__qualname__ = function.__qualname__
    return other


def test_the_command_line_says_what_it_cannot_know_of_a_live_object(cli, tmp_path, capfd):
    def function(images):
        return classify(images)

    made = latreg.search(function, run_dir=tmp_path / "run", **{**TINY, "sources_per_class": 1})
    assert made.config.classifier.kind == "live_function"
    assert made.replay() == len(made.faults("flipped"))
    with pytest.raises(latreg.LatregError, match=r"was made with the SUT .*: the code of .*function has changed"):
        latreg.open_run(made.path, changed(function)).replay()
    assert replay.main([str(made.path)]) == 2
    assert "was an object of a Python session, which no file holds" in capfd.readouterr().err
    code, _, err = cli("+experiment=mnist_hunt", f"hydra.run.dir={made.path}", "resume=true")
    assert code == 1
    assert "resume=true needs the settings of" in err
    with pytest.raises(latreg.LatregError, match="was an object of a Python session"):
        latreg.open_run(made.path).replay()


def test_a_function_that_can_be_imported_needs_no_session(elsewhere):
    made = latreg.search(classify, **{**TINY, "sources_per_class": 1})
    assert made.config.classifier.function == f"{__name__}.classify"
    assert made.config.classifier.kind == "callable"
    with pytest.raises(latreg.LatregError, match="give --trust if you know it"):
        latreg.open_run(made.path).replay()
    assert latreg.open_run(made.path).replay(trust=True) == len(made.faults("flipped"))


def test_runs_of_one_second_get_folders_of_their_own(elsewhere, monkeypatch):
    monkeypatch.setattr("latreg.run.run_time", lambda resume, name: "now")
    made = [latreg.search(strategy="sampling", **{**TINY, "sources_per_class": 1}) for _ in range(2)]
    assert [run.path for run in made] == [elsewhere / "multirun" / "mnist_sampling" / "now" / n for n in "01"]


BAD_INPUT = [
    ({"model": Network()}, "classifier failed on images|classifier.white=255"),
    ({"model": Network(), "size": 28}, "classifier.fit must say how images of 32x32 become 28x28"),
    ({"model": Network(), "size": 28, "fit": "crop"}, "it takes pixels of 0..255, and was fed 0..1"),
    ({"model": Network(), "outputs": "numbers"}, "classifier.outputs must be .*, got 'numbers'"),
    ({"model": Network(), "overrides": ["search.workers=2"]}, "search.workers must be 1 for a classifier that other"),
    ({"model": Network}, "got the class .*Network, not an object of it"),
    ({"model": 7}, "a classifier must be a torch.nn.Module, a function, .*, got builtins.int"),
    ({"model": "net.onnx"}, "must name an existing file, got net.onnx"),
    ({"model": "zoo:nothing"}, "must name an existing file, got zoo:nothing"),
    ({"model": "zoo:cifar10_sut", "dataset": "mnist"}, "the data set mnist needs a classifier with channels=1"),
    ({"dataset": "nothing"}, "dataset must be one of cifar10, .*, got nothing"),
    ({"experiment": "paper"}, "makes one run, but the experiment paper is a sweep"),
    ({"experiment": "mnist_judge_a"}, "needs stage=search, got stage=train_classifier"),
    ({"overrides": ["search.sourcs=1"]}, "search.sourcs is no setting: did you mean search.sources_per_class"),
    ({"sources_per_class": 0}, "search.sources_per_class must be at least 1, got 0"),
    ({"sources_per_class": "many"}, "search.sources_per_class must be a whole number, got 'many'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT)
def test_bad_input_is_one_sentence(arguments, message, elsewhere):
    with pytest.raises(latreg.LatregError, match=message) as caught:
        latreg.search(**arguments)
    assert "\n" not in str(caught.value)
    assert not list(elsewhere.glob("multirun/*/*/*/records"))


def test_results_are_not_overwritten(run):
    with pytest.raises(latreg.LatregError, match="already holds results"):
        latreg.search(run_dir=run.path, **TINY)
    assert run.status["state"] == "done"


def test_an_unfinished_run_has_no_metrics(tmp_path):
    with pytest.raises(latreg.LatregError, match=r"expected the folder of a run with a config\.yaml"):
        latreg.open_run(tmp_path)


def test_a_generator_draws_what_a_search_renders(run):
    generator = latreg.load_generator("zoo:mnist", device="cpu")
    assert generator.id == run.status["weights"]["generator"]
    for record in list(read_records(run.path))[:2]:
        image = generator.sample(record.label, record.z_seed, record.source_psi)[0]
        assert np.array_equal(image, record.source_image)
    assert generator.sample(range(10), 0).shape == (10, 1, 32, 32)
    assert generator.sample(3, range(5), psi=0.5, center="global").shape == (5, 1, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 10, "z_seeds": 0}, "classes must be within 0 .. 9, got 10"),
        ({"classes": [1, 2, 3], "z_seeds": [1, 2]}, "must be of one number, got 3 and 2"),
        ({"classes": 1, "z_seeds": 0, "center": "mean"}, "center must be class or global, got 'mean'"),
    ],
)
def test_samples_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(latreg.LatregError, match=message):
        latreg.load_generator(Path(resolve("zoo:mnist_stylegan2_small", "generator")), "cpu").sample(**arguments)


def test_a_classifier_answers_bytes_and_floats_alike():
    images = latreg.load_generator("cifar10", "cpu").sample([3, 5], [0, 1])
    classifier = latreg.load_classifier("zoo:cifar10_sut", device="cpu")
    assert classifier.class_names[3] == "cat"
    assert classifier(images).shape == (2, 10)
    assert np.array_equal(classifier(images), classifier(torch.from_numpy(images).float() / 255))
    with pytest.raises(latreg.LatregError, match="takes float images"):
        classifier(images[:, :1])
    with pytest.raises(latreg.LatregError, match=r"classifier\.white=255"):
        latreg.load_classifier(Network(), size=28, fit="crop", device="cpu")

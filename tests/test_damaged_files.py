"""Damaged files of every format: each is read or refused in one sentence, and nothing else happens."""

import importlib.util
import json
import shutil
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from latreg import export, merge, replay, retest
from latreg.classifier.adapters import load_classifier
from latreg.classifier.sut import load_sut
from latreg.config import (
    DatasetConfig,
    ExportClassifierConfig,
    GeneratorConfig,
    HuggingFaceClassifierConfig,
    OnnxClassifierConfig,
    TorchClassifierConfig,
)
from latreg.data.splits import load_split
from latreg.errors import LatregError
from latreg.generator.compact import compact
from latreg.generator.pretrained import load_generator
from latreg.generator.training import images_seen, last_card
from latreg.generator.widen import widen
from latreg.import_generator import import_generator
from latreg.report import __main__ as report
from latreg.report import results
from latreg.report.runs import read_study
from latreg.runs.folder import read_config, read_status
from latreg.runs.records import part_paths, read_records, recover_records
from latreg.runs.saved_config import load_run_config
from latreg.validity.vae import load_validity_model
from latreg.zoo import weights
from tests.generator.test_import_generator import random_state
from tests.helpers.damage import Tally, damaged, time_limit, timed
from tests.helpers.hostile import make_run
from tests.helpers.pictures import CLASSES as COLOURS
from tests.helpers.pictures import write_folders
from tests.helpers.published import make_generator, write
from tests.helpers.small_net import Net
from tests.helpers.stripes import CLASSES
from tests.helpers.studies import make_study
from tests.helpers.toy_training import make_module, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COUNT = 200  # damaged files of a format
LIMIT = 30.0  # seconds for one
CPU = torch.device("cpu")
MNIST = DatasetConfig(name="mnist", channels=1, resolution=32, class_names=[str(i) for i in range(10)])
STRIPES = DatasetConfig(name="stripes", channels=1, resolution=12, class_names=CLASSES)


# ---- formats: each makes a sound file in an empty folder => the file, and what reads it


def shipped(name, load):
    def make(folder):
        path = folder / f"{name}.safetensors"
        for of in (weights.ZOO / path.name, weights.card_path(weights.ZOO / path.name)):
            shutil.copy(of, folder)
        return path, lambda: load(path)

    return make


def card_of(name, load):
    def make(folder):
        path, read = shipped(name, load)(folder)
        return weights.card_path(path), read

    return make


def a_sut(path):
    return load_sut(str(path), MNIST)


def a_generator(path):
    return load_generator(GeneratorConfig(name="g", weights=str(path)), MNIST, CPU)


def a_pickle(folder):
    path = write(folder / "g.pkl", make_generator(random_state(8)))
    return path, lambda: import_generator(path, folder / "out" / "g.safetensors", w_avg_samples=10)


def saved_net(suffix, save):
    def make(folder):
        path = folder / f"net{suffix}"
        save(Net().state_dict(), path)
        config = TorchClassifierConfig(network="tests.helpers.small_net.Net", weights=str(path))
        return path, lambda: asked(config)

    return make


def asked(config):
    """What a classifier of stripes answers."""
    return load_classifier(config, STRIPES, CPU)(torch.rand(3, 1, 12, 12))


def of_safetensors(state, path):
    from safetensors.torch import save_file

    save_file(state, path)


def before_zip(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def a_program(folder):
    path = folder / "net.pt2"
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(Net().eval(), (torch.rand(4, 1, 12, 12),), dynamic_shapes=shapes), path)
    return path, lambda: asked(ExportClassifierConfig(weights=str(path)))


def an_onnx(folder):
    path = folder / "net.onnx"
    torch.onnx.export(Net().eval(), (torch.rand(4, 1, 12, 12),), path, dynamo=False, verbose=False)
    return path, lambda: asked(OnnxClassifierConfig(weights=str(path)))


def hugging_face(name):
    def make(folder):
        import transformers

        torch.manual_seed(0)
        settings = transformers.ResNetConfig(
            num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
        )
        settings.id2label = dict(enumerate(CLASSES))
        transformers.ResNetForImageClassification(settings).save_pretrained(folder)
        processor = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.4], "image_std": [0.2], "size": 24}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        return folder / name, lambda: asked(HuggingFaceClassifierConfig(weights=str(folder)))

    return make


def of_run(name, read):
    def make(folder):
        run = make_run(folder / "run")
        (run / "sources.json").write_text(json.dumps({"sources_per_class": 1, "sources": [[0, 0], [1, 0]]}))
        return run / name, lambda: read(run)

    return make


def read_all_records(run):
    for path in part_paths(run):
        kept = path.read_bytes()
        recover_records(run)  # which moves what is damaged
        path.write_bytes(kept)
    return list(read_records(run, (1, 32, 32))), read_study([run])


def read_all_settings(run):
    return read_config(run), load_run_config(run)


def read_state(run):
    return read_status(run), read_study([run])


def read_all_metrics(run):
    merge._seconds(run)
    return read_study([run])


def read_kept_sources(run):
    from latreg.jobs.sources import read_sources

    return read_sources(run)


def of_results(name):
    def make(folder):
        if not (made := folder.parent / "results").is_dir():
            from latreg.report.gather import gather

            make_study(folder.parent / "study")
            results.write(gather([folder.parent / "study"]), made)
        shutil.copytree(made, folder / "results")
        return folder / "results" / name, lambda: results.read(folder / "results")

    return make


def a_checkpoint(folder):
    from latreg.data.images import ImageSet

    data = ImageSet(torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8), torch.arange(12) % 3)
    module = make_module(8)
    path = folder / "last.ckpt"
    train(module, data).save_checkpoint(path, weights_only=False)
    out = folder / "out" / "small.ckpt"

    def read():
        images_seen(path, make_module(16))
        compact(path, out)
        widen(path, out, 128, 16)

    return path, lambda: refusals(read, "judges images")


def a_training_card(folder):
    shutil.copy(weights.ZOO / "mnist_stylegan2_small.json", path := folder / "mnist.json")
    return path, lambda: last_card(path.with_suffix(".safetensors"))


def refusals(read, expected):
    """A sound file is refused too, and says why."""
    try:
        read()
    except LatregError as error:
        if expected not in str(error):
            raise


def a_picture(suffix):
    def make(folder):
        root = write_folders(folder / "data", 4, suffix=suffix)
        data = DatasetConfig(name="x", channels=3, resolution=32, class_names=list(COLOURS), validation_size=2)
        return root / COLOURS[1] / f"002.{suffix}", lambda: load_split(replace(data, path=str(root)), "train")

    return make


def a_table(folder):
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    images = [Image.new("L", (8, 8), 20 * i) for i in range(8)]
    rows = datasets.Dataset.from_dict({"image": images, "label": [i % 2 for i in range(8)]}, features=features)
    (folder / "data").mkdir()
    rows.to_parquet(str(path := folder / "data" / "train-00000-of-00001.parquet"))
    data = DatasetConfig(name="x", channels=1, resolution=8, class_names=["a", "b"], validation_size=2)
    return path, lambda: load_split(replace(data, path=str(folder / "data")), "train")


def a_cache(folder):
    """What latreg keeps of decoded images; a damaged one is made again."""
    root = write_folders(folder / "data", 4)
    data = DatasetConfig(
        name="x", channels=3, resolution=32, class_names=list(COLOURS), validation_size=2, path=str(root)
    )
    sound = load_split(data, "train").images
    (path,) = (folder / "out").rglob("*.npz")

    def read():
        assert torch.equal(load_split(data, "train").images, sound)

    return path, read


FORMATS = {
    "sut": shipped("mnist_sut", a_sut),
    "judge": shipped("mnist_judge_b", a_sut),
    "vae": shipped("mnist_vae", lambda path: load_validity_model(str(path), MNIST, 0.99)),
    "generator": shipped("mnist_stylegan2_small", a_generator),
    "card of a sut": card_of("mnist_sut", a_sut),
    "card of a generator": card_of("mnist_stylegan2_small", a_generator),
    "card of a training": a_training_card,
    "pickle of a StyleGAN2": a_pickle,
    "pt": saved_net(".pt", torch.save),
    "pth before zip": saved_net(".pth", before_zip),
    "safetensors": saved_net(".safetensors", of_safetensors),
    "pt2": a_program,
    "onnx": an_onnx,
    "hf config.json": hugging_face("config.json"),
    "hf processor": hugging_face("preprocessor_config.json"),
    "hf model.safetensors": hugging_face("model.safetensors"),
    "records": of_run("records/part-00000.parquet", read_all_records),
    "config.yaml": of_run("config.yaml", read_all_settings),
    "status.json": of_run("status.json", read_state),
    "metrics.json": of_run("metrics.json", read_all_metrics),
    "sources.json": of_run("sources.json", read_kept_sources),
    **{name: of_results(name) for name in ("study.json", "claims.json", "gallery.json", "cells.csv")},
    "last.ckpt": a_checkpoint,
    **{suffix: a_picture(suffix) for suffix in ("png", "jpg", "webp", "tif")},
    "parquet of a data set": a_table,
    "cache of images": a_cache,
}
NEEDS = {"onnx": "onnxruntime", "hf": "transformers"}


# ---- what comes of them


@pytest.fixture(scope="module")
def tally():
    found = Tally()
    yield found
    print(f"\n{found}")


def others():
    """What a file may be taken for."""
    return [b"hello\n", b"PK\x03\x04" + bytes(60), b"\x89PNG\r\n\x1a\n" + bytes(60), b"PAR1" + bytes(60), b"\x80\x04N."]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder to work in; what stands beside it must stay as it is, and no program must be started."""
    sentinel = tmp_path / "sentinel"
    sentinel.write_text("untouched")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "out").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LATREG_CACHE", str(folder / "out" / "cache"))
    monkeypatch.setenv("HF_HOME", str(folder / "out" / "hf"))
    return folder


def tree(folder):
    """All files but those of the output and of locks, with their contents."""
    files = [path for path in folder.parent.rglob("*") if path.is_file() and folder / "out" not in path.parents]
    return {path: path.read_bytes() for path in files if path.suffix != ".lock"}


def assert_one_sentence(error, way):
    message = str(error)
    assert message.strip(), way
    assert "\n" not in message, (way, message)
    assert "\x1b" not in message, (way, message)
    assert len(message) < 5000, (way, message)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(name, outside, tally):
    if (needed := NEEDS.get(name.split()[0])) and importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    path, read = FORMATS[name](outside)
    read()
    sound = path.read_bytes()
    before, failures = tree(outside), []
    for number, (way, content) in enumerate(damaged(sound, others(), COUNT)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        clock, refused = timed(), False
        (outside / "out" / "last").write_bytes(content)  # to look at, if this one ends the process
        with time_limit(LIMIT):
            try:
                read()
            except LatregError as error:
                assert_one_sentence(error, (name, number, way))
                refused = True
            except Exception as error:  # all are told at the end
                line = traceback.extract_tb(error.__traceback__)[-1]
                failures.append(
                    f"{number} {way}: {type(error).__name__}: {str(error)[:200]} ({line.filename}:{line.lineno})"
                )
        tally.add(name, refused, clock())
        path.write_bytes(sound)
        shutil.rmtree(path.parent.parent / "damaged", ignore_errors=True)
    assert tree(outside) == before
    assert not failures, f"{len(failures)} of {COUNT}:\n" + "\n".join(failures[:10])
    read()


# ---- whole commands

SEARCH = ("+experiment=mnist_random", "search.sources_per_class=1", "search.classes=[2]", "device=cpu")
SEARCH += ("search.max_queries_per_source=5", "hydra.run.dir=out/run")
READERS = {
    "export": lambda run: export.main([str(run), "-o", "out/export"]),
    "merge": lambda run: merge.main([str(run), "-o", "out/merged"]),
    "report": lambda run: report.main([str(run), "-o", "out/report"]),
    "replay": lambda run: replay.main([str(run)]),
    "retest": lambda run: retest.main([str(run), "classifier=cnn", "device=cpu", "classifier.probe_images=0"]),
}
OF_A_RUN = ("records/part-00000.parquet", "config.yaml", "status.json", "metrics.json")
OF_A_SEARCH = {
    "mnist_sut.safetensors": "classifier.weights",
    "mnist_stylegan2_small.safetensors": "generator.weights",
    "mnist_vae.safetensors": "validity.vae",
    "mnist_judge_a.safetensors": "validity.judge",
    "mnist_sut.json": "classifier.weights",
    "mnist_stylegan2_small.json": "generator.weights",
}


def lines_of(captured):
    """What was said, but for Hydra's words about the job."""
    lines = [line for line in captured.err.splitlines() if line.strip()]
    return [line for line in lines if not line.startswith(("Error executing job", "Set the env"))]


@pytest.mark.parametrize("name", OF_A_RUN)
def test_commands_on_a_damaged_run(name, outside, capfd, tally):
    run = make_run(outside / "run")
    sound = (run / name).read_bytes()
    before = tree(outside)
    chosen = list(damaged(sound, others(), COUNT, number=1))[:: COUNT // len(READERS)]
    for command, (way, content) in zip(READERS, chosen, strict=False):
        (run / name).write_bytes(content)
        capfd.readouterr()
        clock = timed()
        with time_limit(4 * LIMIT):
            code = READERS[command](run)
        lines = lines_of(capfd.readouterr())
        assert code == 0 or (code in (1, 2) and lines), (command, way, code, lines)
        assert not any("Traceback" in line for line in lines), (command, way, lines)
        tally.add(f"command: {command}", code != 0, clock())
        (run / name).write_bytes(sound)
    assert tree(outside) == before


@pytest.mark.parametrize("name", OF_A_SEARCH)
def test_searches_with_damaged_weights(name, outside, cli, monkeypatch, tally):
    monkeypatch.chdir(outside)
    stem, key = Path(name).stem, OF_A_SEARCH[name]
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights.ZOO / f"{stem}{suffix}", outside)
    value = (
        f"{key}=[{outside / stem}.safetensors]" if key == "validity.judge" else f"{key}={outside / stem}.safetensors"
    )
    sound = (outside / name).read_bytes()
    before = tree(outside)
    for way, content in list(damaged(sound, others(), COUNT, number=2))[7 :: COUNT // 2]:
        (outside / name).write_bytes(content)
        clock = timed()
        with time_limit(4 * LIMIT):
            code, _, err = cli(*SEARCH, value)
        assert "Traceback" not in f"{code} {err}", (way, err)
        tally.add("command: run", code != 0, clock())
        shutil.rmtree(outside / "out" / "run", ignore_errors=True)
        (outside / name).write_bytes(sound)
    assert tree(outside) == before

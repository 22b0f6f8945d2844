"""Training from the command line: bad input, several processes, and the published configuration."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latreg.errors import LatregError
from latreg.generator.module import StyleGAN2Module
from latreg.generator.training import make_module, weights_name
from latreg.training.devices import make_trainer
from tests.helpers.settings import config
from tests.helpers.small_generator import SMALL

BAD_INPUT = [
    ("dataset.resolution=48", "power of two of at least 8, got 48"),
    ("dataset.resolution=16", "images must fit into 16x16, got 28x28"),
    ("dataset.channels=2", "dataset.channels must be 1 or 3, got 2"),
    ("dataset.class_names=[a,b]", "labels of mnist must be below its 2 class_names, got 9"),
    ("generator.training.batch_size=64", "batch_size must be at most the 50 training images, got 64"),
    ("generator.training.batch_size=6", "must be a multiple of mbstd_group_size = 4"),
    ("generator.training.augment=[flip]", "generator.training.augment must list some of"),
    ("generator.training.augment_p=2", "generator.training.augment_p must be within 0 .. 1, got 2.0"),
    ("generator.training.snapshot_images=0", "generator.training.snapshot_images must be at least 1, got 0"),
    ("generator.training.features=vgg", "training.features must be null or one of efficientnet_lite0, got 'vgg'"),
    (
        "generator.training.guide_weight=1",
        "training.guide must name a classifier where there is a guide_weight, got null",
    ),
    ("generator.training.guide=nothing", "generator.training.guide must name an existing file, got nothing"),
    ("generator.training.guide=zoo:cifar10_judge_b", "the data set mnist needs a classifier with channels=1"),
    ("generator.training.guide_weight_end=-1", "generator.training.guide_weight_end must be at least 0, got -1.0"),
    ("generator.training.guide_until=2", "generator.training.guide_until must be within 0 .. 1, got 2.0"),
    ("generator.training.guide_shift=32", "generator.training.guide_shift must be within 0 .. 31 pixels, got 32"),
    ("trainer.precision=16-mixed", "trainer.precision of a generator must be one of 32-true, bf16-mixed"),
    ("trainer.accelerator=abacus", "the trainer group must name hardware that is there"),
    ("trainer.strategy=luck", "the trainer group must name hardware that is there"),
    ("resume=true", "resume=true needs a checkpoint in"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD_INPUT)
def test_bad_input_is_one_clear_error(cli, toy_mnist, tmp_path, overrides, message):
    run = tmp_path / "run"
    run_dir = f"hydra.run.dir={run}"
    code, _, err = cli("+experiment=mnist_generator", *SMALL, "trainer=cpu", run_dir, *overrides.split())
    assert code == 1
    assert message in err
    assert "Traceback" not in err
    status = run / "status.json"
    assert not status.exists() or json.loads(status.read_text())["state"] == "failed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("choice", ["gpu", "ddp"])
def test_a_device_that_is_not_there_is_one_clear_error(cli, toy_mnist, choice):
    code, _, err = cli("+experiment=mnist_generator", *SMALL, f"trainer={choice}")
    assert code == 1
    assert "the trainer group must name hardware that is there, got trainer.accelerator=gpu" in err
    assert "Traceback" not in err


def test_colour_images_are_not_taken_for_gray_ones(cli, toy_mnist, tmp_path):
    import datasets
    from PIL import Image

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    rows = {"image": [Image.new("RGB", (28, 28))] * 60, "label": [0] * 60}
    for file in toy_mnist.iterdir():
        datasets.Dataset.from_dict(rows, features=features).to_parquet(str(file))
    code, _, err = cli("+experiment=mnist_generator", *SMALL, "trainer=cpu")
    assert code == 1
    assert "dataset.channels must be 3 for the colour images" in err


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return tmp_path_factory.mktemp("done") / "run"


@pytest.fixture
def done(once, cli, toy_mnist, tmp_path):
    """A copy of a training that is done, and its command."""
    command = ("+experiment=mnist_generator", *SMALL, "trainer=cpu")
    if not once.exists():
        assert cli(*command, f"hydra.run.dir={once}")[0] == 0
    run = Path(shutil.copytree(once, tmp_path / "run"))
    return run, (*command, f"hydra.run.dir={run}")


def test_a_damaged_checkpoint_is_one_clear_error(cli, done):
    run, command = done
    checkpoint = run / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    code, _, err = cli(*command, "resume=true")
    assert code == 1
    assert f"expected a whole checkpoint in {checkpoint}" in err


def test_a_training_that_is_done_is_not_taken_up_and_stays_done(cli, done):
    run, command = done
    kept = {name: (run / name).read_text() for name in ("config.yaml", "status.json", "metrics.json")}
    assert json.loads(kept["status.json"])["state"] == "done"
    code, _, err = cli(*command, "resume=true")
    assert code == 1
    assert "generator.training.total_images must be above the 32 images of the checkpoint, got 32" in err
    assert {name: (run / name).read_text() for name in kept} == kept

    for name in kept:  # of a checkpoint that stands alone
        (run / name).unlink()
    assert cli(*command, "resume=true")[0] == 1
    assert not any((run / name).exists() for name in kept)


def test_without_a_judge_a_training_has_no_scores(cli, toy_mnist, tmp_path):
    run = tmp_path / "run"
    code, _, err = cli(
        "+experiment=mnist_generator", *SMALL, "validity.judge=[]", "trainer=cpu", f"hydra.run.dir={run}"
    )
    assert code == 0, err
    assert json.loads((run / "metrics.json").read_text()).keys() == {"n_images", "weights"}
    assert "no scores while training" not in (run / "run.log").read_text()


def test_a_judge_that_is_not_there_is_called_by_its_setting(done):
    run, _ = done
    assert (
        "no scores while training: validity.judge must name an existing file, got nothing"
        in (run / "run.log").read_text()
    )


@pytest.mark.parametrize("named", ["zoo:photos.v2_net", "some.where/photos.v2_net.safetensors", None])
def test_a_dot_in_the_name_of_the_weights_stays(named):
    cfg = config("dataset.name=photos.v2", "generator.name=net")
    cfg.generator.weights = named
    assert weights_name(cfg) == "photos.v2_net"


def test_a_loss_that_is_not_finite_leaves_a_good_checkpoint(cli, toy_mnist, tmp_path, monkeypatch):
    step = StyleGAN2Module.training_step

    def failing(self, batch, batch_index):
        if self.n_images == 40:
            torch.nn.init.constant_(self.D.b4.out.bias, math.nan)
        step(self, batch, batch_index)

    monkeypatch.setattr(StyleGAN2Module, "training_step", failing)
    run = tmp_path / "run"
    command = ("+experiment=mnist_generator", *SMALL, "trainer=cpu", f"hydra.run.dir={run}")
    code, _, err = cli(*command, "generator.training.total_images=64")
    assert code == 1
    assert f"the loss became nan after 40 images, in step 6; the last good checkpoint is {run}/checkpoints" in err
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["n_images"] == 32
    assert all(tensor.isfinite().all() for tensor in content["state_dict"].values())


def test_the_published_configuration():
    cfg = config("+experiment=cifar10_generator_gpu")
    with torch.device("meta"):
        module = make_module_on_meta(cfg)
    assert {module.D.get_submodule(f"b{r}").conv1.weight.shape[0] for r in (8, 16, 32)} == {512}
    assert sum(p.numel() for p in module.G.parameters()) == pytest.approx(20.2e6, rel=0.05)
    assert module.D.mapping.num_layers == 8
    assert module.D.b4.mbstd.group_size == 32


def make_module_on_meta(cfg):
    cfg.generator.training.augment = []  # its matrices are computed, not drawn
    return make_module(cfg)


@pytest.mark.parametrize("experiment", ["fashion_mnist_generator", "cifar10_generator"])
def test_the_small_configurations_augment(experiment):
    module = make_module(config(f"+experiment={experiment}"))
    images = torch.randn(4, module.hparams["generator"]["img_channels"], 32, 32)
    assert torch.equal(module.augment(images), images)  # p starts at 0


def test_several_devices_choose_the_ddp_of_a_gan():
    hardware = config("trainer=cpu").trainer
    hardware.devices = 2
    trainer = make_trainer(hardware, gan=True, logger=False, enable_checkpointing=False)
    assert trainer.world_size == 2
    assert trainer.strategy._ddp_kwargs == {"find_unused_parameters": True}


def test_an_unknown_precision_of_the_trainer_is_refused():
    hardware = config("trainer=cpu").trainer
    hardware.precision = "7-bit"
    with pytest.raises(LatregError, match=r"trainer\.precision=7-bit"):
        make_trainer(hardware)


DUMP = """
import os, torch
from latreg.generator.module import StyleGAN2Module

def on_fit_end(self):
    job = "+".join(str(self.run_seed).split())
    torch.save(self.state_dict(), f"{os.environ['DUMP']}/{job}-{os.environ.get('LOCAL_RANK', '0')}.pt")

StyleGAN2Module.on_fit_end = on_fit_end
"""
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "tracking=offline")


@pytest.fixture
def command_line(toy_mnist, tmp_path):
    """Runs the real command line in a process of its own; each process of a training dumps its weights at the end."""
    (tmp_path / "sitecustomize.py").write_text(DUMP)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "DUMP": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(*arguments, flags=()):
        command = [sys.executable, "-m", "latreg.run", *flags, "+experiment=mnist_generator", *SMALL, *arguments]
        return subprocess.run(
            command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
        )

    return run


def is_running_mean(name):
    """Each process tracks w on its own; those of the first are saved."""
    return "w_avg" in name


def check_same_weights(first, second):
    assert first.keys() == second.keys()
    differing = [name for name in first if not is_running_mean(name) and not torch.equal(first[name], second[name])]
    assert not differing


@pytest.mark.slow  # without features: tests/training/test_devices.py
@pytest.mark.parametrize(
    "discriminator", ["generator.training.features=null", "generator.training.features=efficientnet_lite0"]
)
def test_two_processes_train_the_same_weights_and_one_writes(command_line, tmp_path, discriminator):
    run = tmp_path / "run"
    augmented = ("generator.training.augment=[blit,geom,color]", "generator.training.augment_images=100")
    result = command_line(*TWO, *augmented, discriminator, f"hydra.run.dir={run}")
    assert result.returncode == 0, result.stderr
    ranks = [torch.load(tmp_path / f"0-{rank}.pt", weights_only=True) for rank in range(2)]
    check_same_weights(*ranks)
    assert ranks[0]["augment.p"] == ranks[1]["augment.p"]
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    check_same_weights(ranks[0], saved["state_dict"])
    assert saved["n_images"] == 32
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert [p.name for p in tmp_path.glob("multirun")] == []
    assert sorted(p.name for p in run.glob("*.log")) == ["run.log"]


@pytest.mark.slow
def test_each_job_of_a_multirun_has_its_processes(command_line, tmp_path):
    result = command_line(*TWO, "run_seed=0,1", flags=["-m"])
    assert result.returncode == 0, result.stderr
    for run_seed in range(2):
        check_same_weights(*(torch.load(tmp_path / f"{run_seed}-{rank}.pt", weights_only=True) for rank in range(2)))
    assert len(list(tmp_path.glob("multirun/*/*/*/status.json"))) == 2


@pytest.mark.slow
def test_where_another_process_fails_the_run_has_failed(command_line, tmp_path):
    failing = DUMP + "\nif os.environ.get('LOCAL_RANK') == '1': StyleGAN2Module.on_train_start = lambda self: 1 / 0\n"
    (tmp_path / "sitecustomize.py").write_text(failing)
    result = command_line(*TWO, f"hydra.run.dir={tmp_path / 'run'}")
    assert result.returncode != 0
    assert "the process of another device failed" in result.stderr
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


@pytest.mark.slow
def test_two_processes_resumed_train_the_uninterrupted_weights(command_line, tmp_path):
    augmented = ("generator.training.augment=[blit,geom,color]", "generator.training.augment_p=0.3")
    for run, images in (("whole", (64,)), ("parts", (32, 64))):
        for part, total in enumerate(images):
            resume = (f"resume={part > 0}", f"generator.training.total_images={total}")
            result = command_line(*TWO, *augmented, f"hydra.run.dir={tmp_path / run}", *resume)
            assert result.returncode == 0, result.stderr
    whole, parts = (tmp_path / run / "checkpoints" / "last.ckpt" for run in ("whole", "parts"))
    whole, parts = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, parts))
    assert whole["augment.p"] > 0
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_the_card_tells_of_settings_that_changed_on_the_way(cli, toy_mnist, tmp_path):
    command = ("+experiment=mnist_generator", *SMALL, "generator.training.snapshot_images=16", "trainer=cpu")
    command += (f"hydra.run.dir={tmp_path / 'run'}",)
    weaker = ("resume=true", "generator.training.r1_gamma=0.05")
    for part in (
        ("generator.training.total_images=16",),
        ("generator.training.total_images=32", *weaker),
        ("generator.training.total_images=48", *weaker),
    ):
        assert cli(*command, *part)[0] == 0
    card = json.loads((tmp_path / "run" / "mnist_stylegan2_small.json").read_text())
    assert card["images_seen"] == 48
    assert card["recipe"]["r1_gamma"] == 0.05
    assert card["earlier_recipes"] == [{"until_images": 16, "r1_gamma": 0.1}]

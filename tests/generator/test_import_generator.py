"""Pickles of NVIDIA's repositories: the images stay the same, and nothing in a pickle ever runs."""

import collections
import functools
import io
import json
import math
import os
import pickle
import resource
import struct
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latreg.config import DatasetConfig, GeneratorConfig
from latreg.errors import LatregError
from latreg.generator.importing.values import read_pickle
from latreg.generator.networks import GeneratorNetwork
from latreg.generator.pretrained import load_generator
from latreg.import_generator import import_generator, main
from latreg.search.latent import truncate
from latreg.zoo.weights import load, read_card
from tests.helpers.published import Persistent, make_generator, reference_images, reference_w, write

TOLERANCE = 1e-4
OURS = "mapping.w_avg_class"


def random_state(resolution=32, channels=3, c_dim=3, mapping_layers=2, width=8, z_dim=6, w_dim=5):
    """Tensors of a generator under their published names; all of them matter for the image."""
    torch.manual_seed(0)
    network = GeneratorNetwork(z_dim, w_dim, c_dim, resolution, channels, width * resolution, 2 * width, mapping_layers)
    for name, parameter in network.named_parameters():
        if "bias" in name or "strength" in name:
            torch.nn.init.normal_(parameter, std=10 if "mapping.fc" in name else 0.5)
    network.mapping.w_avg.normal_()
    return {name: tensor.detach() for name, tensor in network.state_dict().items() if name != OURS}


def load_imported(path, classes):
    _, description = load(path, "generator")
    arguments = description["arguments"]
    data = DatasetConfig(
        name="toy",
        channels=arguments["img_channels"],
        resolution=arguments["img_resolution"],
        class_names=[str(i) for i in range(classes)],
    )
    return load_generator(GeneratorConfig(name="imported", weights=str(path)), data, torch.device("cpu"))


@pytest.mark.parametrize(
    ("resolution", "channels", "c_dim", "layers", "clamp"),
    [
        (32, 3, 10, 2, None),  # cfg=cifar
        (32, 1, 3, 8, 256),
        (64, 3, 0, 8, 0.5),  # a clamp that bites
        (128, 1, 0, 2, 256),
        (256, 3, 4, 8, 256),
    ],
)
def test_images_follow_the_published_equations(tmp_path, resolution, channels, c_dim, layers, clamp):
    state = random_state(resolution, channels, c_dim, layers)
    original = make_generator(state, clamp, half_precision_from=resolution // 2, mapping_layers=layers)
    path = tmp_path / "imported.safetensors"
    import_generator(write(tmp_path / "g.pkl", original), path, w_avg_samples=2000)
    generator = load_imported(path, classes=max(c_dim, 2))

    z, labels = torch.randn(3, 6), torch.tensor([0, 1, 1])
    w = generator.map(z, labels)
    c = F.one_hot(labels, c_dim).double() if c_dim else None
    assert (w[:, 0] - reference_w(state, z, c, layers)).abs().max() < TOLERANCE
    w = w + torch.randn(w.shape) / 3  # another latent for each layer
    expected = reference_images(state, w, clamp) * 0.5 + 0.5
    assert (generator.synthesize(w) - expected).abs().max() < TOLERANCE * max(1, expected.abs().max())
    assert torch.equal(generator.w_avg, state["mapping.w_avg"])


def test_images_are_those_of_the_original_code(tmp_path):
    """The reference holds weights and images of a small network that the published code itself has rendered."""
    with np.load(Path(__file__).parent / "stylegan2_ada_reference.npz") as arrays:
        reference = {name: array for name, array in arrays.items() if array.dtype.kind != "U"}
        cases = json.loads(str(arrays["json/cases"]))
    state = {k.removeprefix("weights/"): torch.from_numpy(v) for k, v in reference.items() if k.startswith("weights/")}
    path = tmp_path / "imported.safetensors"
    import_generator(write(tmp_path / "g.pkl", make_generator(state)), path, w_avg_samples=100)
    generator = load_imported(path, classes=10)
    w = generator.map(torch.from_numpy(reference["z"]), torch.from_numpy(reference["label"]))
    truncations = [(i, case) for i, case in enumerate(cases) if "cutoff" in case]
    assert len(truncations) == 6
    for i, case in truncations:
        psi = torch.full((len(w),), float(case["psi"]))
        images = generator.synthesize(truncate(w, generator.w_avg.expand(len(w), -1), psi, case["cutoff"]))
        assert (images * 2 - 1 - torch.from_numpy(reference[f"case{i}/image"])).abs().max() < TOLERANCE


def test_the_card_and_the_class_means(tmp_path, capsys):
    path = tmp_path / "imported.safetensors"
    pickle_ = write(tmp_path / "g.pkl", make_generator(random_state(), 256, half_precision_from=16))
    assert main([str(pickle_), "-o", str(path), "--w-avg-samples", "3000"]) == 0
    assert "a StyleGAN2 of 3 classes, 32x32 with 3 channels; w has 8 layers" in capsys.readouterr().out
    card = read_card(path)
    assert card["half_precision_blocks"] == 2
    assert card["settings"]["conv_clamp"] == 256
    assert card["imported_from"] == "g.pkl"
    generator = load_imported(path, classes=3)
    z = torch.randn(3000, 6)
    for label in range(3):
        mean = generator.map(z, torch.full((3000,), label))[:, 0].mean(0)
        assert (mean - generator.w_avg_class[label]).abs().max() < 0.1 * generator.map(
            z, torch.zeros(3000).long()
        ).std()


def test_without_classes_every_class_shares_the_mean_of_all(tmp_path):
    path = tmp_path / "imported.safetensors"
    import_generator(write(tmp_path / "g.pkl", make_generator(random_state(c_dim=0))), path)
    generator = load_imported(path, classes=4)
    assert not generator.conditional
    assert generator.num_classes == 4
    assert torch.equal(generator.w_avg_class, generator.w_avg.expand(4, -1))
    z = torch.randn(1, 6)
    assert torch.equal(*(generator.map(z, torch.tensor([label])) for label in (0, 3)))


# ---- what does not fit


def tensor_changes():
    def drop(state):
        del state["synthesis.b16.conv0.noise_const"]

    def add(state):
        state["synthesis.b16.conv0.extra"] = torch.zeros(1)

    def cut(state):
        state["synthesis.b8.torgb.weight"] = state["synthesis.b8.torgb.weight"][:, :3]

    def spoil(state):
        state["synthesis.b8.conv1.bias"][0] = float("nan")

    def flatten(state):
        state["mapping.embed.weight"] = torch.tensor(1.0)

    def widen(state):
        state["mapping.fc0.weight"] = torch.zeros(5, 2000)

    def refilter(state):
        state["synthesis.b8.conv1.resample_filter"] = torch.full((4, 4), 1 / 16)

    return [
        (drop, "1 differ: synthesis.b16.conv0.noise_const is missing"),
        (add, "1 differ: synthesis.b16.conv0.extra is left over"),
        (cut, r"synthesis.b8.torgb.weight must have the shape \(3, 16, 1, 1\), got \(3, 3, 1, 1\)"),
        (spoil, "finite numbers, got others in synthesis.b8.conv1.bias"),
        (flatten, "must have the tensor mapping.embed.weight, got none"),
        (widen, "z and w must have 1 to 1024 numbers, got 1995 and 5"),
        (refilter, r"synthesis.b8.conv1.resample_filter must be the filter \[1, 3, 3, 1\]"),
    ]


@pytest.mark.parametrize(("change", "message"), tensor_changes())
def test_each_difference_is_named(tmp_path, change, message):
    state = random_state()
    change(state)
    path = write(tmp_path / "g.pkl", make_generator(state))
    with pytest.raises(LatregError, match=message):
        import_generator(path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def setting_changes():
    def set_(module, **values):
        def change(generator):
            for name in filter(None, module.split(".")):
                generator = generator.state["_modules"][name]
            generator.state |= values

        return change

    return [
        (set_("synthesis.b8", architecture="resnet"), "synthesis.b8.architecture must be 'skip', got 'resnet'"),
        (set_("synthesis.b8.conv1", activation="relu"), "synthesis.b8.conv1.activation must be 'lrelu', got 'relu'"),
        (set_("synthesis.b8.conv1", use_noise=False), "synthesis.b8.conv1.use_noise must be True, got False"),
        (set_("synthesis.b8.conv1", conv_clamp=3), "all layers must have the same conv_clamp, .*, got 3, None"),
        *(
            (set_(f"synthesis.{layers}", conv_clamp=clamp), "conv_clamp, a number above 0 or None, got .*int|-1|nan")
            for layers in ("b8.conv1",)
            for clamp in (10**5000, -1, float("nan"))
        ),
        (set_("mapping.fc1", bias_gain=0.1), r"mapping.fc1 must have the lr_multiplier 0.01, got 0.1"),
        (set_("synthesis", _modules={}), "expected blocks synthesis.b4, b8"),
        (set_("synthesis", _modules=[1]), "expected blocks synthesis.b4, b8"),
        (set_("", _modules={}), "expected G_ema to have a mapping and a synthesis network, got nothing"),
    ]


@pytest.mark.parametrize(("change", "message"), setting_changes())
def test_each_foreign_setting_is_named(tmp_path, change, message):
    generator = make_generator(random_state())
    change(generator)
    path = write(tmp_path / "g.pkl", generator)
    with pytest.raises(LatregError, match=message):
        import_generator(path, tmp_path / "out.safetensors")


def test_a_stylegan3_is_refused(tmp_path):
    generator = make_generator(random_state())
    synthesis = generator.state["_modules"]["synthesis"]
    synthesis.child("input", "SynthesisInput").put("freqs", torch.zeros(4, 2))
    synthesis.child("L0_36_512", "SynthesisLayer")
    with pytest.raises(LatregError, match=r"g\.pkl cannot be imported: it holds an alias-free StyleGAN3"):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def test_a_tensorflow_pickle_is_refused(tmp_path):
    path = tmp_path / "g.pkl"
    path.write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x00)\x81.")
    with pytest.raises(LatregError, match=r"it holds TensorFlow networks; NVIDIA's legacy\.py"):
        import_generator(path, tmp_path / "out.safetensors")


def test_other_files_are_refused(tmp_path):
    out, path = tmp_path / "out.safetensors", tmp_path / "g.pkl"
    with pytest.raises(LatregError, match="there is no file"):
        import_generator(path, out)
    path.write_bytes(b"")
    with pytest.raises(LatregError, match=r"g\.pkl cannot be imported: it is empty"):
        import_generator(path, out)
    path.write_bytes(b"hello")
    with pytest.raises(LatregError, match="does not begin as a pickle does"):
        import_generator(path, out)
    torch.save({}, path)
    with pytest.raises(LatregError, match=r"it is a zip archive, as torch\.save writes them"):
        import_generator(path, out)
    path.write_bytes(pickle.dumps({"G": 1}))
    with pytest.raises(LatregError, match="expected a snapshot with the network G_ema, got 'G'"):
        import_generator(path, out)
    with pytest.raises(LatregError, match=r"the output must end in \.safetensors"):
        import_generator(path, tmp_path / "out.pt")
    write(path, make_generator(random_state()))
    path.write_bytes(path.read_bytes()[:-1000])
    size = path.stat().st_size
    with pytest.raises(LatregError, match=rf"some of its {size} bytes are damaged or missing: it ends in"):
        import_generator(path, out)


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.pkl"), "-o", str(tmp_path / "out.safetensors")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# ---- what would do harm


class Reduces:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def protocol_0(text):
    return b"\x80\x04" + text.encode() + b"."


def long_chain(length):
    """Reduces of reduces: each calls getattr on what the one before has returned."""
    value = Reduces(__import__, "os")
    for _ in range(length):
        value = Reduces(getattr, value, "path")
    return value


DANGEROUS = {
    "a command": pickle.dumps(Reduces(os.system, "touch harm")),
    "a command inside G_ema": pickle.dumps({"G_ema": {"state": [Reduces(os.system, "touch harm")]}}),
    "eval": pickle.dumps(Reduces(eval, "open('harm', 'w')")),
    "exec": pickle.dumps(Reduces(exec, "open('harm', 'w')")),
    "a process": pickle.dumps(Reduces(subprocess.Popen, ["touch", "harm"])),
    "an import": pickle.dumps(Reduces(__import__, "os")),
    "a chain": pickle.dumps(long_chain(50)),
    "a file": pickle.dumps(Reduces(open, "harm", "w")),
    "torch.load": pickle.dumps(Reduces(torch.load, "harm")),
    "an old opcode": protocol_0("(S'touch harm'\nios\nsystem\n"),
    "an object": protocol_0("(cos\nsystem\nS'touch harm'\no"),
    "a stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0atouch harm\x85R.",
    "an extension": b"\x80\x02\x82\x01.",
    "an attribute of an admitted module": protocol_0("ctorch.storage\nio.open\n"),
    "a dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93.",
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_nothing_of_a_dangerous_pickle_runs(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "g.pkl"
    path.write_bytes(DANGEROUS[name])
    with pytest.raises(LatregError, match=r"network G_ema, got|G_ema must be a|nothing was executed|as no pickle does"):
        import_generator(path, tmp_path / "out.safetensors")
    assert os.listdir(tmp_path) == ["g.pkl"]


@pytest.mark.parametrize("name", sorted(DANGEROUS.keys() - {"an extension", "a chain"}))
def test_what_stands_beside_the_generator_is_left_aside_and_does_not_run(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "g.pkl", make_generator(random_state()))
    harm = DANGEROUS[name][2:-1]  # without PROTO and STOP
    path.write_bytes(path.read_bytes()[:-1] + b"\x8c\x04harm" + harm + b"s.")
    import_generator(path, tmp_path / "out.safetensors", w_avg_samples=3)
    assert sorted(os.listdir(tmp_path)) == ["g.pkl", "out.json", "out.safetensors"]


def test_the_source_code_in_a_pickle_does_not_run(tmp_path):
    path = write(tmp_path / "g.pkl", make_generator(random_state()))
    assert b"raise SystemExit" in path.read_bytes()
    import_generator(path, tmp_path / "out.safetensors", w_avg_samples=3)


def test_a_storage_with_a_command_inside_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = pickle.dumps(Reduces(os.system, "touch harm"))
    path = tmp_path / "g.pkl"
    path.write_bytes(pickle.dumps(Reduces(torch.storage._load_from_bytes, inner)))
    with pytest.raises(LatregError, match="a storage of 48 bytes is damaged: it ends in the middle"):
        import_generator(path, tmp_path / "out.safetensors")
    assert os.listdir(tmp_path) == ["g.pkl"]


def storage_bytes(count=4, numbers=b"\0" * 16, claimed=4):
    """A storage as torch.save writes it, with what it claims changed."""
    file = io.BytesIO()
    torch.save(torch.zeros(count).untyped_storage(), file, _use_new_zipfile_serialization=False)
    content = file.getvalue()
    return content[: -8 - 4 * count] + struct.pack("<q", claimed) + numbers


def tensor_pickle(size, stride, storage=None):
    rebuild = torch._utils._rebuild_tensor_v2
    inner = Reduces(torch.storage._load_from_bytes, storage or float_storage())
    return pickle.dumps(Reduces(rebuild, inner, 0, size, stride, False, {}))


def float_storage(count=4):
    file = io.BytesIO()
    torch.save(torch.zeros(count).storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def counted(content):
    return struct.pack("<I", len(content)) + content


def doubled(times):
    """A list that holds twice a list that holds twice .. : 2^times elements if anyone walks or prints it."""
    value = []
    for _ in range(times):
        value = [value, value]
    return value


def nested(depth, opening=b"(", closing=b"t"):
    return b"\x80\x04" + opening * depth + closing * depth


def again_and_again(first, repeated, times):
    """What `first` leaves in the memo is asked for so many times."""
    return b"\x80\x04" + first + repeated * times + b"."


MAKE_SET = b"cbuiltins\nset\nq\x00](" + b"K\x01" * 1000 + b"e\x85q\x01("
MAKE_STORAGE = b"ctorch.storage\n_load_from_bytes\nq\x00B%b\x85q\x01("
LONG_INT = b"\x8b" + struct.pack("<i", 10**7) + b"\x7f" * 10**7 + b"q\x00}"
SAME_HASH = b"".join(b"\x8a\x0b" + (k * (2**61 - 1)).to_bytes(11, "little") + b"N" for k in range(240_000))

BOMBS = {
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "text of 2^62": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "a bytearray of 2^62": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
    "a bytearray by call": pickle.dumps(Reduces(bytearray, 2**40)),
    "bytes by call": pickle.dumps(Reduces(bytes, 2**40)),
    "an integer of 2^31 bytes": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "a million digits": b"\x80\x04L" + b"9" * 10**6 + b"L\n.",
    "a memo far away": b"\x80\x04Nr" + struct.pack("<I", 2**32 - 1) + b"0N.",
    "an expanded tensor": tensor_pickle((2**20, 2**20), (0, 0)),
    "a tensor beyond its storage": tensor_pickle((4,), (2**40,)),
    "a storage that claims more": tensor_pickle((4,), (1,), storage_bytes(claimed=2**60)),
    "an array of 2^31": protocol_0(
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nJ\x7f\x7f\x7f\x7f\x85C\x01btR"
    ),
    "nested lists": nested(200_000, b"]", b"a") + b".",
    "a deep tuple as a key": b"\x80\x04}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "a deep tuple as a type": b"\x80\x04cnumpy\ndtype\n)" + b"\x85" * 200_000 + b"\x85R.",
    "a doubled list": pickle.dumps({"G_ema": doubled(100)}),
    "a long key again and again": again_and_again(LONG_INT, b"h\x00Ns", 150_000),
    "keys of one hash": b"\x80\x04}(" + SAME_HASH + b"u.",
    "a set again and again": again_and_again(MAKE_SET, b"h\x00h\x01R", 160_000),
    "a storage again and again": again_and_again(MAKE_STORAGE % counted(float_storage()), b"h\x00h\x01R", 150_000),
    "opcodes without end": b"\x80\x04" + b"N0" * 300_000 + b"N.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_neither_fill_the_memory_nor_take_for_ever(tmp_path, name):
    path = tmp_path / "g.pkl"
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(LatregError):
        import_generator(path, tmp_path / "out.safetensors")
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - before.ru_maxrss < 300_000  # KiB
    assert after.ru_utime - before.ru_utime < 10  # s


def test_doubled_settings_are_not_printed(tmp_path):
    generator = make_generator(random_state())
    generator.state["_modules"]["synthesis"].state["_modules"]["b8"].state["architecture"] = doubled(100)
    with pytest.raises(LatregError, match=r"synthesis\.b8\.architecture must be 'skip', got list"):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def test_modules_that_hold_themselves_are_refused(tmp_path):
    generator = make_generator(random_state())
    blocks = generator.state["_modules"]["synthesis"].state["_modules"]
    blocks["b8"].state["_modules"]["again"] = blocks["b4"]
    with pytest.raises(LatregError, match="expected each module once"):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def test_a_mapping_network_that_would_take_minutes_is_refused(tmp_path):
    generator, view = make_generator(random_state()), shared_tensor(1024**2)
    mapping = generator.state["_modules"]["mapping"]
    for i in range(64):
        layer = mapping.child(f"fc{i}", "FullyConnectedLayer", activation="lrelu", bias_gain=0.01)
        layer.state["_parameters"] |= {"weight": view(1024, 1024), "bias": view(1024)}
    with pytest.raises(LatregError, match=r"mapping\. must hold at most 8000000 numbers, got 67"):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def test_a_file_of_holes_is_refused_unread(tmp_path):
    path = tmp_path / "g.pkl"
    with path.open("wb") as file:
        file.write(b"\x80\x04\x8e" + struct.pack("<Q", 3 * 2**30 - 12))
        file.truncate(3 * 2**30)
    with pytest.raises(LatregError, match="it must have at most 1073741824 bytes, got 3221225472"):
        import_generator(path, tmp_path / "out.safetensors")


class Discriminator(torch.nn.Module):
    """Of a library that is not there, with what such modules keep: devices, paths, partial functions, odd keys."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.SiLU())
        self.device, self.path = torch.device("cpu"), Path("/data/mnist.zip")
        self.make = functools.partial(torch.nn.Conv2d, kernel_size=3)
        self.sizes = {(8, 8): 3, torch.device("cpu"): 1, 4: 2}
        self.pairs = {(1, 2), "a"}
        self.names = np.array(["a", "b"], dtype=object), np.array(["a"]), np.dtype(">f4"), frozenset({"x"})
        self.counts = collections.Counter("aab"), collections.defaultdict(list, a=[1]), complex(1, 2), slice(3)
        self.numbers = torch.zeros(3, dtype=torch.complex64), bytearray(b"x"), torch.Generator, date(2026, 1, 1)
        self.feature_map = torch.nn.Parameter(torch.zeros(2)), torch.zeros(2, dtype=torch.bfloat16)


def test_other_things_in_a_snapshot_are_left_aside(tmp_path):
    state, out = random_state(), tmp_path / "out.safetensors"
    generator = make_generator(state)
    generator.state["device"], generator.state["cache"] = torch.device("cpu"), Path("/tmp/cache")
    others = {"D": Discriminator(), "D_ema": Discriminator(), "device": torch.device("cpu"), "run_dir": Path("/run")}
    others |= {"chain": long_chain(50)}
    import_generator(write(tmp_path / "g.pkl", generator, **others), out, w_avg_samples=3)
    tensors, _ = load(out, "generator")
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state.items())


def test_what_is_needed_and_unknown_is_named(tmp_path):
    out = tmp_path / "out.safetensors"
    cases = {
        "G_ema must be a network of NVIDIA's code, got .*Discriminator": Discriminator(),
        r"synthesis\.b8\.architecture must be 'skip', got pathlib.*Path": make_generator(random_state()),
        r"expected modules in G_ema, got torch\.nn\..*SiLU as synthesis\.more": make_generator(random_state()),
    }
    _, path_setting, foreign = cases.values()
    path_setting.state["_modules"]["synthesis"].state["_modules"]["b8"].state["architecture"] = Path("skip")
    foreign.state["_modules"]["synthesis"].state["_modules"]["more"] = torch.nn.SiLU()
    for message, generator in cases.items():
        with pytest.raises(LatregError, match=message):
            import_generator(write(tmp_path / "g.pkl", generator), out)


class Module(Persistent):
    """One that has nothing but what it is given."""

    def __init__(self, **state):
        self.class_name, self.state = "Module", state


def a_long_name():
    return [Module(_modules={"long " * 1000: Module()})]


def many_modules():
    return [Module() for _ in range(1000)]


def same_tensors():
    shared = dict.fromkeys((f"p{i}" for i in range(900)), torch.zeros(()))
    return [Module(_parameters=shared) for _ in range(400)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_long_name, "names of at most 100 characters in G_ema, got 'long long"),
        (many_modules, "at most 500 modules in G_ema, got more"),
        (same_tensors, "at most 1000 tensors in G_ema, got more"),
    ],
)
def test_names_and_tensors_that_add_up_to_too_much_are_refused(tmp_path, make, message):
    generator = make_generator(random_state())
    generator.state["_modules"] |= {f"m{i}": module for i, module in enumerate(make())}
    with pytest.raises(LatregError, match=message):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def shared_tensor(numbers):
    """Makes tensors of any shape that all lie in one storage of a pickle."""
    storage = Reduces(torch.storage._load_from_bytes, float_storage(numbers))

    def view(*size):
        strides = tuple(math.prod(size[i + 1 :]) for i in range(len(size)))
        return Reduces(torch._utils._rebuild_tensor_v2, storage, 0, size, strides, False, {})

    return view


def test_views_that_add_up_to_too_much_are_refused(tmp_path):
    generator, view = make_generator(random_state()), shared_tensor(5_000_000)
    convolution = generator.state["_modules"]["synthesis"].state["_modules"]["b8"].state["_modules"]["conv1"]
    convolution.state["_parameters"] |= {f"extra{i}": view(5_000_000) for i in range(25)}
    with pytest.raises(LatregError, match="G_ema must hold at most 120000000 numbers, got 125"):
        import_generator(write(tmp_path / "g.pkl", generator), tmp_path / "out.safetensors")


def test_what_pickles_may_hold_is_read_as_it_was(tmp_path):
    content = {
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "number": np.float64(2.5),
        "set": {"a", "b"},
        "size": torch.Size([2, 3]),
        "part": torch.arange(12.0).reshape(3, 4)[1:, ::2],
        "half": torch.ones(3, dtype=torch.float16),
        "counts": torch.arange(3),
        "plain": [1, -2, 2**70, 1.5, "ä", b"x", None, True, (), (1, 2, 3, 4)],
    }
    for protocol in (2, 3, 4):
        path = tmp_path / f"{protocol}.pkl"
        if protocol == 2:  # which has no bytes
            path.write_bytes(pickle.dumps({"plain": content["size"]}, protocol))
            assert read_pickle(path) == {"plain": (2, 3)}
            continue
        path.write_bytes(pickle.dumps(content, protocol))
        read = read_pickle(path)
        np.testing.assert_array_equal(read["array"].values, content["array"])
        np.testing.assert_array_equal(read["turned"].values, content["turned"])
        assert (read["number"], read["set"], read["size"]) == (2.5, {"a", "b"}, (2, 3))
        for name in ("part", "half", "counts"):
            assert torch.equal(read[name], content[name])
        assert read["plain"] == content["plain"]


def test_no_module_of_a_pickle_is_imported(tmp_path):
    write(tmp_path / "g.pkl", make_generator(random_state()))
    code = f"""
import sys
from latreg.import_generator import main
assert main([{str(tmp_path / "g.pkl")!r}, "-o", {str(tmp_path / "out.safetensors")!r}, "--w-avg-samples", "3"]) == 0
assert not {{"dnnlib", "torch_utils", "torch_utils.persistence"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

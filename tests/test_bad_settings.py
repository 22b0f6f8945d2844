"""No value of a setting leads to a traceback: what the schema does not allow is refused in one sentence."""

import copy
import os
import random
import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from latreg.composing import composed as latreg_composed
from latreg.config import check_settings, typed
from latreg.errors import LatregError
from latreg.evaluation.manifold import NEAREST
from latreg.generator.projected import NETWORKS
from latreg.validity.perceptual import NETS
from tests.helpers.bad_settings import BASES, bad_values, leaves
from tests.helpers.settings import composed

PARSE = OverridesParser.create().parse_override
SOME = 60  # of the bad settings, in the fast test


@pytest.fixture(scope="module")
def bases():
    return {name: composed(*overrides) for name, overrides in BASES.items()}


def bad_settings(bases):
    """The base and the text of each."""
    found = {}
    for name, cfg in bases.items():
        for leaf in leaves(cfg):
            for value in bad_values(leaf):
                found.setdefault(f"{leaf.key}={value}", name)
    return [(name, text) for text, name in found.items()]


def changed(cfg, text):
    """As Hydra changes a configuration by an override."""
    override = PARSE(text)
    cfg = copy.deepcopy(cfg)
    OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
    return cfg


def assert_refused(cfg, text):
    with pytest.raises((LatregError, OmegaConfBaseException)) as caught:  # the latter Hydra tells by itself
        typed(changed(cfg, text))
    if isinstance(caught.value, LatregError):
        message = str(caught.value)
        assert re.match(r"[a-z0-9_.]+ must ", message), message  # its own key, or one that is made of it
        assert "\n" not in message


def test_the_bases_are_allowed(bases):
    for cfg in bases.values():
        check_settings(cfg)
        typed(cfg)


def test_some_bad_settings_are_refused(bases):
    cases = bad_settings(bases)
    for name, text in random.Random(0).sample(cases, SOME):
        assert_refused(bases[name], text)


@pytest.mark.slow
def test_every_bad_setting_is_refused(bases):
    cases = bad_settings(bases)
    assert len(cases) > 1000
    for name, text in cases:
        assert_refused(bases[name], text)


@pytest.mark.slow
def test_bad_settings_of_whole_commands_are_one_sentence(bases, cli):
    cases = [
        (name, text)
        for name, text in bad_settings(bases)
        if name in ("random", "judge", "card") and not (text.startswith("dataset.") and text.endswith("???"))
    ]  # what a data set lacks is read from its images
    for name, text in random.Random(1).sample(cases, 60):
        code, _, err = cli(*BASES[name], text)
        assert code != 0, text
        assert "Traceback" not in err, text


@pytest.mark.parametrize(
    ("base", "text", "message"),
    [
        ("random", "search.chunk=9223372036854775808", "search.chunk must be at most 1000000, got 9223372036854775808"),
        ("random", "search.chunk=${nope}", "search.chunk must have a value, but: Interpolation key 'nope' not found"),
        ("random", "search.chunk=???", "search.chunk must be given, but has no value"),
        ("random", "search.confident_below=nan", "search.confident_below must be within 0 .. 1, got nan"),
        ("random", "strategy.psi_grid=[0.9,0.9]", "strategy.psi_grid must go down from each of its values to the next"),
        ("random", "strategy._target_=os.system", "strategy._target_ must be latreg.search.random.RandomTruncation"),
        ("random", "dataset.class_names=[a,a]", "dataset.class_names must name 2 or more classes, each once"),
        ("random", "dataset.validation_size=0", "dataset.validation_size must be at least 1, got 0"),
        ("random", "classifier.probe_images=-1000", "classifier.probe_images must be at least 0, got -1000"),
        ("hunt", "strategy.bisection_steps=100000", "strategy.bisection_steps must be at most 60, got 100000"),
        (
            "generator",
            "generator.training.total_images=-5",
            "generator.training.total_images must be at least 0, got -5",
        ),
        (
            "generator",
            "generator.training.betas=[2,3]",
            "generator.training.betas must be at least 0 and below 1, got 2",
        ),
        ("generator", "generator.training.betas=[0.5]", "generator.training.betas must name 2 values, got [0.5]"),
        ("generator", "generator.z_dim=0", "generator.z_dim must be at least 1, got 0"),
        ("random", "validity.training.widths=[]", "validity.training.widths must name 1 to 9 widths, got []"),
    ],
)
def test_messages(bases, base, text, message):
    with pytest.raises(LatregError) as caught:
        typed(changed(bases[base], text))
    assert str(caught.value).startswith(message)


MISFITS = [
    ("search.chunk=many", "search.chunk must be a whole number, got 'many'"),
    ("search.chunk=[1]", "search.chunk must be a whole number, got [1]"),
    ("search.workers=null", "search.workers must be a whole number, got null"),
    ("search.min_margin=much", "search.min_margin must be a number, got 'much'"),
    ("search.uncertain_only=perhaps", "search.uncertain_only must be true or false, got 'perhaps'"),
    ("search.classes=[a]", "search.classes must be a whole number, got 'a'"),
    ("strategy.psi_grid=word", "strategy.psi_grid must be a list, got 'word'"),
    ("search=3", "search must be a group of settings, got 3"),
    (
        "stage=[1]",
        "stage must be one of search, train_classifier, train_generator, train_validity, fit_density,",
    ),
    ("truncation.grid={a:1}", "Error merging override truncation.grid={a:1}; Cannot merge DictConfig with ListConfig"),
    ("search.source_per_class=1", "search.source_per_class is no setting: did you mean search.sources_per_class"),
    ("search.sourcs=1", "search.sourcs is no setting: did you mean search.sources_per_class?"),
    ("search.sources=1", "search.sources is no setting: did you mean search.sources_per_class?"),
    ("name=a\udcff", "name=a\\udcff has characters that need quotes: \"name='a\\udcff'\""),
    ("foo=1", "foo is no setting: the configuration has stage, name, "),
    (
        "strategy=luck",
        "strategy must be one of cma_me, genetic, gradient, hunt, mimicry, mixing, "
        "mixing_published, random, random_published, sampling, walk, got luck",
    ),
    ("search.chunk", "Error parsing override 'search.chunk' missing EQUAL at '<EOF>'"),
]


@pytest.mark.parametrize(("text", "message"), MISFITS)
def test_what_hydra_does_not_take_is_told_in_one_sentence(text, message):
    with pytest.raises(LatregError) as caught:
        latreg_composed(["+experiment=mnist_random", text])
    assert str(caught.value).startswith(message)
    assert "full_key" not in str(caught.value)


@pytest.mark.parametrize("text", ["+search.sourcs=1", "++search.sourcs=1"])
def test_a_plus_adds_no_setting_that_nothing_reads(text):
    with pytest.raises(LatregError, match=r"search\.sourcs is no setting: did you mean search\.sources_per_class\?"):
        typed(latreg_composed(["+experiment=mnist_random", text]))


def test_a_value_of_the_environment_is_blamed_on_its_variable(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    with pytest.raises(LatregError, match=r"WANDB_MODE in the environment, for tracking\.mode, must be offline, onl"):
        typed(latreg_composed(["+experiment=mnist_random"]))
    with pytest.raises(LatregError, match=r"^tracking\.mode must be offline, online or disabled, got 'dry'"):
        typed(latreg_composed(["+experiment=mnist_random", "tracking.mode=dry"]))


def test_a_job_that_is_refused_says_it_once(cli):
    _, _, err = cli("+experiment=mnist_random", "search.chunk=-1")
    assert err.splitlines()[1:] == ["search.chunk must be at least 1, got -1"]  # behind what Hydra says of the job


def test_the_command_line_tells_it_alike(cli, monkeypatch):
    code, out, err = cli("+experiment=mnist_random", "search.chunk=many")
    assert (code, out, err) == (1, "", "search.chunk must be a whole number, got 'many'\n")
    assert "HYDRA_FULL_ERROR" not in os.environ
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(HydraException):
        cli("+experiment=mnist_random", "search.chunk=many")


@pytest.mark.parametrize("text", ["name=${nope}", "name=???"])
def test_a_folder_named_by_nothing_is_one_sentence(cli, text):
    code, _, err = cli("+experiment=mnist_random", text)
    assert "hydra.run.dir must name a folder, but" in code  # the message of sys.exit
    assert "Traceback" not in err


def test_an_interpolation_of_nothing_is_one_sentence(cli):
    code, _, err = cli("+experiment=mnist_random", "dataset.name=${nope}")
    assert code == 1
    assert "dataset.name must have a value, but: Interpolation key 'nope' not found" in err
    assert "Traceback" not in err


def test_choices_of_the_schema_are_those_of_the_code(bases):
    declared = {leaf.key: leaf.declared for leaf in leaves(bases["random"])}
    assert declared["generator.training.features"].choices == tuple(NETWORKS)
    assert declared["validity.lpips"].choices == tuple(NETS)
    assert declared["evaluation.samples"].above == NEAREST

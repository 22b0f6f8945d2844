from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from latreg.composing import composed
from latreg.jobs.headline import headline


def test_the_headline_says_what_was_searched_and_what_was_set(monkeypatch):
    given = ["+experiment=mnist_mixing", "search.classes=[3, 8]", "truncation=fixed", "truncation.psi=0.7"]
    cfg = composed([*given, "hydra.run.dir=somewhere"], hydra=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    ours = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    name, _, given = headline(ours).partition(": ")
    assert name == "mnist, mixing, psi 0.7, class center"
    assert given.split() == ["search.max_queries_per_source=200", "search.classes=[3,8]", "truncation.psi=0.7"]

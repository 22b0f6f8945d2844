"""Which pairs are shown: one of each group that looks alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from latreg.report import gallery, pairs
from tests.helpers.studies import make_run, noise, read, sources, with_faults


def shown(folder, kind=True):
    return [row for row in gallery.gallery(read(folder)) if row.valid_fault is kind]


def of_looks(*looks, **values):
    """Valid faults whose images are these, each with a little noise of its own."""
    found = with_faults(len(looks), len(looks), **values)
    grain = noise(1, len(looks)).astype(int) // 64
    images = [np.clip(look + own, 0, 255).astype(np.uint8) for look, own in zip(looks, grain, strict=True)]
    blank = np.zeros_like(images[0])
    return [
        replace(record, first_image=image, source_image=blank, last_image=blank)
        for record, image in zip(found, images, strict=True)
    ]


def test_one_of_each_look_is_shown_the_most_frequent_first(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "VALID", 3)
    a, b, c = noise(0, 3)
    make_run(tmp_path / "a", of_looks(a, b, b, c, b, a))
    rows = shown(tmp_path)
    assert [(row.alike, row.of) for row in rows] == [(3, 6), (2, 6), (1, 6)]
    numbers = [row.z_seed * 3 + row.label for row in rows]  # as `sources` counts them
    assert [number in of for number, of in zip(numbers, ((1, 2, 4), (0, 5), (3,)), strict=True)] == [True] * 3


def test_truncations_are_grouped_together_and_no_source_is_shown_twice(tmp_path):
    looks = noise(0, 6)
    make_run(tmp_path / "a", of_looks(*looks))
    make_run(tmp_path / "b", of_looks(*looks), truncation=0.6)
    rows = shown(tmp_path)
    assert len({(row.label, row.z_seed) for row in rows}) == len(rows) == 6
    assert {(row.alike, row.of) for row in rows} == {(2, 12)}


def test_no_more_pairs_than_groups_of_each_kind(tmp_path):
    make_run(tmp_path / "a", with_faults(60, 30, 20))
    assert (len(shown(tmp_path)), len(shown(tmp_path, False))) == (gallery.VALID, gallery.INVALID)


def test_of_very_many_some_of_each_truncation_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "CANDIDATES", 3)
    make_run(tmp_path / "a", with_faults(9, 6))
    make_run(tmp_path / "b", with_faults(9, 6), truncation=0.6)
    rows = shown(tmp_path)
    assert {row.of for row in rows} == {3}
    assert {row.cell.truncation for row in rows} == {"none", "fixed"}


def test_images_of_several_sizes_and_colours_are_compared(tmp_path):
    make_run(tmp_path / "a", of_looks(*noise(0, 2)))
    large = [np.repeat(image.repeat(2, axis=1).repeat(2, axis=2), 3, axis=0) for image in noise(0, 2)]
    names = ("source_image", "last_image", "first_image")
    grown = [replace(r, **dict.fromkeys(names, i)) for r, i in zip(with_faults(2, 2), large, strict=True)]
    make_run(tmp_path / "b", grown, truncation=0.6)
    assert {row.of for row in shown(tmp_path)} == {4}


def test_the_thumbnail_of_an_image_has_its_mean():
    image = noise(0, 1)[0]
    assert np.allclose(gallery._look(image.repeat(4, 1).repeat(4, 2)).mean(), image.mean() / 255, atol=0.01)


def test_a_pair_names_its_run_and_the_commands_that_show_it_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(Path("my runs/a"), with_faults(9, 3), command="python -m latreg.run +experiment=mnist_mixing")
    pair = shown(Path("my runs"))[0]
    place = f"--label {pair.label} --z-seed {pair.z_seed}"
    assert pairs.replay(pair) == f"python -m latreg.replay 'my runs/a' {place}"
    assert pairs.search(pair).startswith("python -m latreg.run +experiment=mnist_mixing 'search.classes=[")
    assert shown(tmp_path / "my runs")[0].run == "RUNS/a", "names no machine"
    older = replace(pair, run="", command="")
    assert (pairs.replay(older), pairs.search(older)) == (f"python -m latreg.replay RUNS/.. {place}", "")


def test_nothing_flipped_nothing_shown(tmp_path):
    make_run(tmp_path / "a", sources(9))
    assert gallery.gallery(read(tmp_path)) == []


def test_tiles_without_an_image_are_left_out(tmp_path):
    make_run(tmp_path / "run", with_faults(4, 1, 1), "mixing")
    (pair,) = shown(tmp_path)
    whole = replace(pair, p_last=0.6, p_severe=0.2)
    assert pairs.images(whole) == (pair.png, pairs.TILES)
    flip, drawn = (pairs.images(replace(whole, **{name: None})) for name in ("p_severe", "p_last"))
    assert flip.names == ("source", "last correct", "first wrong", "difference")
    assert drawn.names == ("source", "first wrong", "most severe")
    side, gap = pairs.size(pair.png)[1], 4
    assert [pairs.size(one.png) for one in (flip, drawn)] == [(n * side + (n - 1) * gap, side) for n in (4, 3)]

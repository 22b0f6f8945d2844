"""The command from runs, and from results alone, to figures, page and text."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from latreg.errors import LatregError
from latreg.interfaces import CHOSEN_FROM
from latreg.report import __main__ as command
from latreg.report import figures, page, results, study, table, text
from latreg.report.gather import gather
from latreg.runs.records import write_part
from tests.helpers.example_records import MEASURED
from tests.helpers.studies import make_run, make_study, sources, with_faults

ROOT = Path(__file__).resolve().parents[2]
ALL_FIGURES = ("budget", "classes", "cost", "validity", "yield")


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    assert command.main([str(make_study(folder / "runs")), "-o", str(folder / "out")]) == 0
    return folder / "out"


def page_of(folder, *runs):
    """The page of these runs, without figures, which take most of the time."""
    results.write(gather(runs), folder / "results")
    return page.page(results.read(folder / "results"), {})


class Page(HTMLParser):
    """Tags that must be closed, and everything that would be loaded."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.images, self.ids, self.links = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs)
        self.loaded += [attrs[name] for name in ("src", "href", "data") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_holds_results_figures_and_page(reported):
    assert {path.name for path in (reported / "figures").iterdir()} == {
        f"{name}_mnist.{kind}" for name in ALL_FIGURES for kind in ("pdf", "png")
    }
    assert len(list((reported / "results").iterdir())) == 7
    assert (reported / "index.html").is_file()


def test_the_page_needs_nothing_else_and_is_well_formed(reported):
    tags = Page((reported / "index.html").read_text())
    assert tags.open == []
    assert all(target.startswith(("data:image/png;base64,", "#")) for target in tags.loaded)
    assert all("alt" in image for image in tags.images)
    assert len(tags.ids) == len(set(tags.ids))
    assert {target[1:] for target in tags.loaded if target.startswith("#")} <= set(tags.ids)


def test_the_page_tells_of_every_claim_and_cell(reported):
    text = (reported / "index.html").read_text()
    for claim in results.read(reported / "results").claims:
        assert claim.statement.replace("'", "&#39;") in text
    for name in ("mixing, psi 0.6, class", "mixing, minimal, global", "random, no truncation, class"):
        assert name in text


def test_results_alone_give_the_same_figures_and_page_to_the_byte_without_torch(reported, tmp_path):
    code = f"""
import sys
from latreg.report.__main__ import main
assert main(["--results", {str(reported / "results")!r}, "-o", {str(tmp_path)!r}]) == 0
loaded = {{"torch", "lightning", "wandb", "datasets", "pyarrow"}} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for path in [reported / "index.html", *(reported / "figures").iterdir()]:
        assert (tmp_path / path.relative_to(reported)).read_bytes() == path.read_bytes(), path.name


def test_user_text_is_escaped(tmp_path):
    run = make_run(tmp_path / "runs", with_faults(9, 3))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("- a\n", "- <script>alert(1)</script>\n"))
    assert "<script>alert" not in page_of(tmp_path, tmp_path / "runs")


def test_one_run_is_drawn_and_the_page_says_that_nothing_is_compared(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", with_faults(30, 5, 3))
    render = figures.render

    def only_png(figure, kind):
        """The fonts of a PDF take seconds."""
        return render(figure, kind) if kind == "png" else b""

    monkeypatch.setattr(figures, "render", only_png)
    assert command.main([str(run), "-o", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "nothing can be compared" in text
    assert "undecided" in text
    assert text.count("<figure>") == len(ALL_FIGURES)


def test_runs_without_faults(tmp_path):
    make_run(tmp_path / "runs" / "a", sources(9))
    make_run(tmp_path / "runs" / "b", sources(9), "random")
    text = page_of(tmp_path, tmp_path / "runs")
    assert "No run found a robust fault." in text
    assert "nothing was flipped" in text


def test_missing_images(tmp_path):
    rows = [replace(row, source_image=None, last_image=None, first_image=None) for row in with_faults(30, 5)]
    run = make_run(tmp_path / "run", sources(1), "random")
    make_run(tmp_path / "bare", sources(1))
    write_part(tmp_path / "bare", 0, rows, MEASURED)
    assert "the runs hold no images" in page_of(tmp_path, tmp_path / "bare", run)


def test_an_unfinished_run_is_named_on_the_page_and_on_the_terminal(tmp_path, capsys):
    make_run(tmp_path / "runs" / "good", sources(9))
    make_run(tmp_path / "runs" / "bad", sources(9), state="interrupted")
    assert command.main([str(tmp_path / "runs"), "-o", str(tmp_path / "out")]) == 0
    sentence = "runs/bad is not finished (its state is interrupted)"
    assert sentence in (tmp_path / "out" / "index.html").read_text()
    assert sentence in capsys.readouterr().err


def test_bad_input_is_one_sentence(tmp_path, capsys):
    assert command.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert re.fullmatch(r"expected finished searches in .*, but there are no runs at all\n", capsys.readouterr().err)
    make_run(tmp_path / "runs" / "a", sources(9), state="running")
    assert command.main([str(tmp_path / "runs"), "-o", str(tmp_path / "out")]) == 2
    sentence = r"expected finished searches in .*, but .*/runs/a is not finished \(its state is running\)\.\n"
    assert re.fullmatch(sentence, capsys.readouterr().err)
    assert command.main(["--results", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "expected the results of a study" in capsys.readouterr().err


def test_variants_are_drawn_as_strategies_of_their_own(tmp_path):
    make_run(tmp_path / "runs" / "a", with_faults(30, 5))
    make_run(tmp_path / "runs" / "b", with_faults(30, 9), search={"max_queries_per_source": 200})
    name = "mixing, no truncation, global center (search.max_queries_per_source=200)"
    assert name in page_of(tmp_path, tmp_path / "runs")
    drawn = figures.draw(results.read(tmp_path / "results"))["yield_mnist"]
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert names == [f"mixing (search.max_queries_per_source={n})" for n in (200, 50)]


def test_a_curve_is_drawn_in_the_style_of_its_truncation(tmp_path):
    make_run(tmp_path / "runs" / "a", with_faults(30, 5), "mixing", 0.7)
    make_run(tmp_path / "runs" / "b", with_faults(30, 5), "random")
    results.write(gather([tmp_path / "runs"]), tmp_path / "results")
    axes = figures.draw(results.read(tmp_path / "results"))["budget_mnist"].axes[0]
    styles = {line.get_color(): line.get_linestyle() for line in axes.lines if line.get_linestyle() != "None"}
    assert styles == {figures.LOOKS["mixing"][0]: "--", figures.LOOKS["random"][0]: "-"}
    assert "psi 0.7" in [text.get_text() for text in axes.texts]


def test_a_center_without_runs_is_told_from_one_without_faults(tmp_path):
    make_run(tmp_path / "runs" / "a", with_faults(30, 5))
    results.write(gather([tmp_path / "runs"]), tmp_path / "results")
    drawn = figures.draw(results.read(tmp_path / "results"))
    for name in ("yield", "cost", "budget", "validity"):
        with_runs, without = drawn[f"{name}_mnist"].axes[:2]
        assert "no runs" in [text.get_text() for text in without.texts]
        assert "no runs" not in [text.get_text() for text in with_runs.texts]
    assert drawn["validity_mnist"].axes[0].get_ylim()[1] < 0.2, "the empty panel has no say in the scale"
    assert drawn["cost_mnist"].axes[0].get_ylim()[0] > 1


def test_what_was_measured_of_diversity_is_a_column(tmp_path):
    run = make_run(tmp_path / "runs" / "a", with_faults(30, 5))
    make_run(tmp_path / "runs" / "b", with_faults(30, 5), "random")
    assert "judge distance</th>" not in page_of(tmp_path, tmp_path / "runs")
    found = json.loads((run / "metrics.json").read_text())
    numbers = {"judge_distance": 2.5, "judge_distance_ci95": [2.25, 3.125], "cells_reached": 3, "cells": 50}
    (run / "metrics.json").write_text(json.dumps(found | numbers | {"groups": 5, "of_my_own": 7}))
    text = page_of(tmp_path, tmp_path / "runs")
    headings = re.findall('<th scope="col" class="n"[^>]*>(.*?)</th>', text)
    assert [
        heading for heading in headings if heading in ("of my own", *(column.heading for column in table.MEASURED))
    ] == ["judge distance", "pixel distance", "cells reached", "groups", "of my own"]
    assert not {"cells", "judge distance low"} & set(headings)
    assert ">2.5 (2.25 to 3.12)</td>" in text
    assert ">3 of 50</td>" in text


def test_the_pairs_that_are_shown_first_are_those_of_the_strategy_that_found_most(tmp_path):
    make_run(tmp_path / "runs" / "a", with_faults(30, 3, 9), "sampling")
    make_run(tmp_path / "runs" / "b", with_faults(30, 5), "mixing")
    text = page_of(tmp_path, tmp_path / "runs")
    assert 'data-first-strategy="mixing"' in text
    assert "stands for 1 of 5 valid faults" in text


def test_page_and_text_say_how_many_sources_were_chosen(tmp_path):
    chosen = [replace(r, z_seed=r.z_seed + CHOSEN_FROM) for r in with_faults(9, 4)]
    make_run(tmp_path / "runs" / "a", with_faults(30, 5) + chosen)
    shown = page_of(tmp_path, tmp_path / "runs")
    assert "a source (9 of them of chosen ones), 390 queries" in shown
    section = study.section(results.read(tmp_path / "results"))
    assert "1 runs, 39 searches of sources (9 of them of chosen ones), 390 queries" in section
    make_run(tmp_path / "drawn" / "a", with_faults(30, 5))
    assert "of them of chosen ones" not in page_of(tmp_path, tmp_path / "drawn")


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0.0 minutes"), (90, "1.5 minutes"), (7200, "2.0 hours")])
def test_durations(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("truncation", "psi", "named"),
    [("none", 1, "no truncation"), (0.7, 0.7, "psi 0.7"), ("minimal", 0.65, "minimal psi 0.65")],
)
def test_the_truncation_of_a_pair_is_named(tmp_path, truncation, psi, named):
    make_run(tmp_path / "runs" / "a", with_faults(9, 3, source_psi=psi), truncation=truncation)
    results.write(gather([tmp_path / "runs"]), tmp_path / "results")
    pairs = results.read(tmp_path / "results").gallery
    assert {text.truncation_of(pair) for pair in pairs} == {named}


class TestStudyText:
    @pytest.fixture
    def found(self, reported):
        return results.read(reported / "results")

    def test_only_the_part_between_the_markers_changes(self, found, tmp_path):
        text = tmp_path / "study.md"
        text.write_text(f"before\n{study.BEGIN}\nold\n{study.END}\nafter\n")
        study.update(text, found, {"yield_mnist": page.Picture(b"png")})
        once = text.read_text()
        assert once.startswith(f"before\n{study.BEGIN}\n")
        assert once.endswith(f"{study.END}\nafter\n")
        assert "old" not in once
        assert "| (1) Latent code mixing has a higher fault detection rate" in once
        assert (tmp_path / "figures" / "yield_mnist.png").read_bytes() == b"png"
        study.update(text, found, {})
        assert text.read_text() == once

    def test_published_searches_stand_beside_ours(self, found, tmp_path):
        assert "published" not in study.section(found)
        for name in ("mixing", "mixing_published", "random"):
            make_run(tmp_path / "runs" / name, with_faults(30, 5), name)
        results.write(gather([tmp_path / "runs"]), tmp_path / "results")
        section = study.section(results.read(tmp_path / "results"))
        table = section.split("### Ours and the published searches")[1].split("###")[0]
        shown = [line.split(" | ")[1].split(",")[0] for line in table.splitlines() if line.startswith("| mnist")]
        assert shown == ["mixing", "mixing_published"]

    def test_a_text_without_markers_is_refused_and_kept(self, found, tmp_path):
        text = tmp_path / "study.md"
        text.write_text("nothing here\n")
        with pytest.raises(LatregError, match="each once"):
            study.update(text, found, {})
        assert text.read_text() == "nothing here\n"

    @pytest.mark.skipif(not (ROOT / "results").is_dir(), reason="the study has not been run")
    def test_the_numbers_in_the_docs_are_those_of_the_results(self):
        text = (ROOT / "docs" / "study.md").read_text()
        between = text.split(study.BEGIN)[1].split(study.END)[0]
        assert between == f"\n{study.section(results.read(ROOT / 'results'))}"

"""The page in a real browser: filters, sorting, columns, csv, a pair alone, and what axe and html-validate say."""

import numpy as np
import pytest

from latreg.report import page, results
from latreg.report.gather import gather
from latreg.report.marks import Mark
from latreg.runs.records import encode_png
from tests.helpers.browser import browser
from tests.helpers.pages import MISSING, REASON, findings, invalid
from tests.helpers.studies import make_run, with_faults

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)
ROWS = "[...document.querySelectorAll('[data-sorted] tbody tr')].filter((row) => row.offsetHeight)"
PAIRS = "[...document.querySelectorAll('.gallery > li')].filter((pair) => pair.offsetHeight)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for strategy, faults in (("random", 2), ("mixing", 9)):
        for truncation in ("none", 0.7):
            records = with_faults(12, faults + (truncation == 0.7), 1)
            make_run(folder / "runs" / f"{strategy}-{truncation}", records, strategy, truncation)
    found = gather([folder / "runs"])
    results.write(found, folder / "results")
    chart = page.Picture(
        encode_png(np.zeros((1, 30, 60), np.uint8)), [Mark(10, 20, "one: 5 %"), Mark(90, 80, "two: 7 %")]
    )
    page.write_page(results.read(folder / "results"), {"yield_mnist": chart}, folder / "index.html")
    return folder / "index.html"


@pytest.fixture(scope="module")
def tab(path, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as new_tab:
        yield new_tab()


@pytest.fixture
def opened(tab, path):
    tab.open("about:blank#")
    tab.open(path.as_uri())
    return tab


def choose(tab, section, key, value):
    tab.value(
        f"(() => {{ const one = document.querySelector('[aria-labelledby={section}] select[name={key}]');"
        f"one.value = {value!r}; one.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    )


def names(tab):
    return tab.value(f"{ROWS}.map((row) => row.cells[0].textContent)")


def test_html_is_valid(path):
    assert invalid(path) == []


@pytest.mark.parametrize("width", [360, 1200])
def test_axe_finds_nothing_on_a_wide_page_and_on_a_pair_alone_on_a_phone(opened, path, width):
    opened.open(path.as_uri(), width=width)
    assert opened.value("document.documentElement.scrollWidth") <= width
    if width > 1000:
        assert findings(opened) == []
        return
    opened.value(f"{PAIRS}[0].querySelector('a').click()")
    opened.wait("document.querySelector('dialog').open")
    assert findings(opened) == []


def test_searches_are_filtered_and_sorted(opened):
    assert len(names(opened)) == 4, "of all strata only one is shown at first"
    choose(opened, "searches", "strategy", "mixing")
    assert names(opened) == ["mixing, psi 0.7, global center", "mixing, no truncation, global center"]
    choose(opened, "searches", "truncation", "psi 0.7")
    assert names(opened) == ["mixing, psi 0.7, global center"]
    choose(opened, "searches", "truncation", "")
    choose(opened, "searches", "strategy", "")
    valid = (
        "[...document.querySelectorAll('[data-sorted] thead button')].find((one) => one.textContent === 'valid faults')"
    )
    opened.value(f"{valid}.click()")
    assert names(opened)[0] == "mixing, psi 0.7, global center"
    opened.value(f"{valid}.click()")
    assert names(opened)[0] == "random, no truncation, global center"
    assert opened.value(f"{valid}.parentElement.getAttribute('aria-sort')") == "ascending"


def test_the_csv_holds_what_is_shown_with_intervals_as_columns(opened):
    choose(opened, "searches", "strategy", "random")
    lines = opened.value("csv(document.querySelector('[data-sorted]'))").splitlines()
    assert lines[0].startswith('"strategy, truncation, center",data set,stratum,sources,')
    assert '"flipped, per source low","flipped, per source high"' in lines[0]
    assert [line.split(",")[3:7] for line in lines[1:]] == [
        ["mnist", "all drawn", "12", "33.3"],
        ["mnist", "all drawn", "12", "25.0"],
    ]


def test_a_pair_has_a_link_and_neighbours(opened, path):
    ids = opened.value(f"{PAIRS}.map((pair) => pair.id)")
    assert ids
    assert all(one.startswith("pair-mnist-mixing") for one in ids), "the strategy that found most"
    opened.open("about:blank#")
    opened.open(f"{path.as_uri()}#{ids[0]}")
    shown = "document.querySelector('dialog').textContent"
    assert f"1 of {len(ids)}" in opened.value(shown)
    assert "python -m latreg.replay" in opened.value(shown)
    opened.value("document.querySelector('dialog [rel=next]').click()")
    opened.wait(f"location.hash === '#{ids[1]}' && {shown}.includes('2 of')")
    opened.value("document.querySelector('dialog').close()")
    opened.wait("location.hash === '#pairs'")


def test_a_chart_is_read_out_by_keys_and_by_the_pointer(opened):
    said = "document.querySelector('figure output').value"
    assert "arrow keys" in opened.value(said)
    opened.value("document.querySelector('figure .scroll').focus()")
    opened.press("ArrowRight")
    assert opened.value(said) == "one: 5 %"
    opened.value("""{
        const chart = document.querySelector(".chart");
        const box = chart.getBoundingClientRect();
        const at = { clientX: box.x + 0.91 * box.width, clientY: box.y + 0.8 * box.height };
        chart.dispatchEvent(new PointerEvent("pointermove", at));
    }""")
    assert opened.value(said) == "two: 7 %"


def test_columns_are_chosen(opened):
    shown = "[...document.querySelectorAll('[data-sorted] thead th')].filter((head) => head.offsetWidth).length"
    before = opened.value(shown)
    opened.value("[...document.querySelectorAll('fieldset button')].find((one) => one.textContent === 'all').click()")
    assert opened.value(shown) > before


def test_print_is_complete_until_somebody_filters(opened):
    opened.call("Emulation.setEmulatedMedia", media="print")
    try:
        total = opened.value("document.querySelectorAll('.gallery > li').length")
        assert opened.value(f"{PAIRS}.length") == total
        choose(opened, "pairs", "strategy", "random")
        assert 0 < opened.value(f"{PAIRS}.length") < total
        heads = "[...document.querySelectorAll('[data-columns] thead th')].filter((head) => head.offsetWidth)"
        assert "stratum" in opened.value(f"{heads}.map((head) => head.textContent)")
        choose(opened, "searches", "strategy", "random")
        assert "stratum" not in opened.value(f"{heads}.map((head) => head.textContent)"), "it is that of the filter"
    finally:
        opened.call("Emulation.setEmulatedMedia", media="")

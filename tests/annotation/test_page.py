"""A whole session in a real browser, by keyboard."""

import socket
import threading
import time
from importlib.resources import files

import pytest
import uvicorn

from latreg.annotation.answers import Answer, read_all
from latreg.annotation.server import HOST, make_app
from latreg.annotation.study import read_study
from tests.helpers.browser import CHROMIUM, browser
from tests.helpers.pages import MISSING, REASON, findings, invalid

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
SHOWN = "!document.getElementById('work').hidden && document.getElementById('picture').naturalWidth === 32"


@pytest.fixture
def url(folder):
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(make_app(read_study(folder), folder, port), host=HOST, port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://{HOST}:{port}/"
    server.should_exit = True
    thread.join()


def begin(tab, url, name="Ann", **size):
    tab.open(url, **size)
    tab.value("document.getElementById('annotator').focus()")
    tab.type(name)
    tab.press("Enter")
    tab.wait(SHOWN)


def picture(tab):
    return tab.value("document.getElementById('picture').src.split('/').at(-1)")


def answer(tab, *keys):
    before = picture(tab)
    for key in keys:
        tab.press(key)
    tab.wait(f"document.getElementById('work').hidden || !document.getElementById('picture').src.endsWith('/{before}')")
    return before


def test_a_session_by_keyboard(tmp_path, folder, url):
    order = read_study(folder).order("Ann")
    with browser(tmp_path / "profile") as new_tab:
        tab = new_tab()
        begin(tab, url)
        assert answer(tab, "3", "l") == order[0]
        assert answer(tab, "n", "p", "j") == order[1]
        assert read_all(folder)["Ann"] == {
            order[0]: Answer(order[0], 3, True, 3),
            order[1]: Answer(order[1], None, False, 1),
        }
        tab.press("u")
        tab.wait(f"document.getElementById('picture').src.endsWith('/{order[1]}')")
        assert list(read_all(folder)["Ann"]) == [order[0]]
        tab.press("l")  # nothing is chosen yet
        assert tab.value("[...document.querySelectorAll('#sure button')].every((one) => one.disabled)")

        other = new_tab()  # goes on where the first is
        begin(other, url)
        assert answer(other, "4", "k") == order[1]
        tabs = [tab, other]
        for number in range(2 * len(order)):
            if tabs[number % 2].value("!document.getElementById('work').hidden"):
                answer(tabs[number % 2], str(number % 10), "l")
        assert all(one.value("!document.getElementById('done').hidden") for one in tabs)
    assert sorted(read_all(folder)["Ann"]) == sorted(order), "two tabs lose nothing"


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits(tmp_path, folder, url, width):
    with browser(tmp_path / "profile") as new_tab:
        tab = new_tab()
        begin(tab, url, width=width)
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value("document.getElementById('picture').offsetWidth % 32") == 0, "pixels are squares"
        small = "[...document.querySelectorAll('#work button')].filter((one) => one.offsetHeight < 44).length"
        assert tab.value(small) == 0, "each is as large as a finger"
        assert tab.value("document.documentElement.scrollHeight <= innerHeight"), "no scrolling"
        tab.screenshot(tmp_path / f"{width}.png")


@pytest.mark.skipif(MISSING, reason=REASON)
def test_axe_finds_nothing_and_html_is_valid(tmp_path, url):
    assert invalid(files("latreg.annotation").joinpath("page.html")) == []
    with browser(tmp_path / "profile") as new_tab:
        tab = new_tab()
        tab.open(url)
        assert findings(tab) == [], "at the beginning"
        begin(tab, url)
        assert findings(tab) == [], "with a picture"

"""What judges a page of ours: axe in the browser, html-validate on its text. Both come from tests/browser."""

import json
import subprocess
from pathlib import Path

from tests.helpers.browser import CHROMIUM

_TOOLS = Path(__file__).resolve().parents[1] / "browser" / "node_modules"
_AXE = _TOOLS / "axe-core" / "axe.min.js"
_VALIDATE = _TOOLS / ".bin" / "html-validate"

MISSING = not (CHROMIUM and _AXE.is_file() and _VALIDATE.is_file())
REASON = "there is no Chromium, or no axe and html-validate: npm install --prefix tests/browser"


def findings(tab):
    """What axe finds on the page that a tab shows."""
    tab.value(f"{_AXE.read_text()};0")
    run = "axe.run().then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))"
    return tab.value(run)


def invalid(path):
    """What html-validate finds in a file."""
    done = subprocess.run([_VALIDATE, "--formatter", "json", path], capture_output=True, text=True, check=False)
    return [(one["ruleId"], one["line"]) for file in json.loads(done.stdout) for one in file["messages"]]

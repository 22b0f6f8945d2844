"""A headless Chromium, spoken to over a pair of pipes in the protocol of its developer tools."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


class Tab:
    """One page."""

    def __init__(self, send, session):
        self._send, self._session = send, session

    def call(self, method, **params):
        return self._send(method, params, self._session)

    def open(self, url, width=1200, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"waited in vain for {condition}"
            time.sleep(0.02)

    def press(self, key):
        text = {"Enter": "\r", "Tab": "", "ArrowRight": ""}.get(key, key)
        code = {"Enter": 13, "Tab": 9, "ArrowRight": 39}.get(key, ord(key[0].upper()))
        of = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **of)
        self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def type(self, text):
        for key in text:
            self.press(key)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))


@contextmanager
def browser(folder):
    """Chromium with its profile in a folder, for as long as the block lasts => a function that opens a tab."""
    to_read, ours_out = os.pipe()
    ours_in, to_write = os.pipe()

    pipes = f'exec "$@" 3<&{to_read} 4>&{to_write}'  # where Chromium expects them
    command = ["bash", "-c", pipes, "bash", CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(command, pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL)
    os.close(to_read)
    os.close(to_write)
    incoming = os.fdopen(ours_in, "rb")
    count = 0

    def send(method, params, session=None):
        nonlocal count
        count += 1
        message = {"id": count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(ours_out, json.dumps(message).encode() + b"\0")
        while True:
            content = bytearray()
            while (byte := incoming.read(1)) != b"\0":
                assert byte, "Chromium has ended"
                content += byte
            answer = json.loads(content)
            if answer.get("id") == count:
                assert "error" not in answer, answer
                return answer["result"]

    def tab():
        target = send("Target.createTarget", {"url": "about:blank"})["targetId"]
        return Tab(send, send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])

    try:
        yield tab
    finally:
        process.kill()
        process.wait()
        os.close(ours_out)
        incoming.close()

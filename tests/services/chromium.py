"""A headless Chromium, driven by the DevTools protocol over a pipe, which needs nothing else."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shlex
import shutil
import subprocess
import time

from needed import missing

SECONDS = 60  # for anything the browser does; a busy machine needs many of them
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--window-size=1300,1000",
    "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """A headless Chromium and one tab in it."""

    def __init__(self, profile):
        found = [path for path in map(shutil.which, NAMES) if path]
        if not found:
            missing(f"a browser, one of {', '.join(NAMES)}", "apt-get install chromium")
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        command = shlex.join([found[0], *FLAGS, f"--user-data-dir={profile}", "about:blank"])
        # Descriptors from 10 on are free to be used while 3 and 4 are put in place.
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec 3<&{to_read} 4>&{to_write}; exec {command}"],
            pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._numbers, self._buffer, self.events, self._session = itertools.count(1), b"", [], None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(OSError):
            os.write(self._write, b'{"id":0,"method":"Browser.close"}\0')
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def send(self, method, **params):
        """Send a command and return its result; events that come before are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            answer = self._next(until)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self, until):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path):
        """Load a page and wait until its scripts have run."""
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        until = time.monotonic() + SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next(until))

    def run(self, script):
        """The value of a JavaScript expression."""
        result = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def complaints(self):
        """Everything on the console that is worse than a remark, and every exception."""
        self.run("0")  # so that all events before it are here
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"])
            elif event["method"] == "Runtime.consoleAPICalled":
                if params["type"] in ("error", "warning", "assert"):
                    found.append([one.get("value") for one in params["args"]])
            elif event["method"] == "Log.entryAdded":
                if params["entry"]["level"] in ("error", "warning"):
                    found.append(params["entry"])
            elif event["method"] == "Page.javascriptDialogOpening":
                found.append(params)
        return found

    def requests(self):
        """What was asked for over the network or from files."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

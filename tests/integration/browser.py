"""
Chromium, driven by the protocol that its developer tools speak.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase

from tests.integration.programs import PATIENCE
from tests.integration.twistd import environment

#: Gives Chromium the two descriptors that it expects.
_LAUNCHER = (
    "import fcntl, os, sys;"
    # Out of the way of each other, wherever they are.
    " reads, writes = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]);"
    " os.dup2(reads, 3); os.dup2(writes, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """
    A browser with one page, which ends with the test.
    """

    def __init__(self, testCase: TestCase, program: str, flags: Sequence[str]) -> None:
        """
        @param program: Chromium.
        @param flags: Its command line.
        """
        # Its helpers may still write there when it has ended.
        folder = TemporaryDirectory(prefix="socks6-", ignore_cleanup_errors=True)
        testCase.addCleanup(folder.cleanup)
        reads, self._commands = os.pipe()
        self._answers, writes = os.pipe()
        for descriptor in (self._commands, self._answers):
            testCase.addCleanup(os.close, descriptor)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCHER, str(reads), str(writes), program, *flags),
                "--remote-debugging-pipe",
                f"--user-data-dir={folder.name}",
                "about:blank",
            ],
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(HOME=folder.name),
        )
        testCase.addCleanup(self._end)
        os.close(reads)
        os.close(writes)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        #: What the page's console has complained about.
        self.complaints: list[Any] = []
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """
        Have something done, and wait for what comes of it.

        @raise RuntimeError: It cannot be done.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode("utf-8") + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(answer["params"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self, deadline: float) -> Any:
        """
        Wait for the next message.

        @raise TimeoutError: None comes, or the browser has ended.
        """
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            octets = os.read(self._answers, 65536) if ready else b""
            if not octets:
                raise TimeoutError("the browser does not answer")
            self._buffer += octets
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def show(self, url: str, width: int, height: int = 800) -> None:
        """
        Show a page on a screen of a certain size.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self.call("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """
        Let the page work something out.

        @raise RuntimeError: It cannot.
        """
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def waitUntil(self, script: str) -> None:
        """
        Wait until something is true on the page.

        @raise TimeoutError: It does not become so.
        """
        deadline = time.monotonic() + PATIENCE
        while not self.ask(script):
            if time.monotonic() > deadline:
                shown = self.ask("document.documentElement.outerHTML")
                raise TimeoutError(f"{script}:\n{shown}\n{self.complaints}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """
        Click at something with the mouse.
        """
        element = f"document.querySelector({json.dumps(selector)})"
        box = self.ask(
            f"{element}.scrollIntoView({{block: 'center'}});"
            f" (({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"({element}.getBoundingClientRect().toJSON())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def picture(self) -> bytes:
        """
        Take a picture of the whole page, in the PNG format.
        """
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def _end(self) -> None:
        """
        End it, and its helpers.
        """
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

"""
Tests of L{socks6.tap.accesslog}.
"""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path
from typing import Any

from socks6.serving.accesslog import AccessLog
from socks6.serving.requestlines import FileAccessLog, NoAccessLog
from socks6.tap import local
from tests.server.harness import NOOP
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse


class OptionsTests(OptionsTestCase):
    """
    The access log on the command line.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(atexit, "register", lambda function: None)

    def test_kinds(self) -> None:
        """
        It is Twisted's log, a file, or nothing; a log is made once.
        """
        for arguments, kind in (
            ([], AccessLog),
            (["--access-log=off"], NoAccessLog),
            (["--access-log=-"], FileAccessLog),
            ([f"--access-log={self.folder}/log"], FileAccessLog),
        ):
            options = parse(*arguments)
            log = options.accessLog(self.network)
            self.assertIs(type(log), kind)
            self.assertIs(options.accessLog(self.network), log)

    def test_local(self) -> None:
        """
        The local proxifier has the same options.
        """
        options = local.Options()
        options.parseOptions(["--proxy=socks6://localhost", "--access-log=off"])
        self.assertIsInstance(options.accessLog(self.network), NoAccessLog)

    def test_mistakes(self) -> None:
        """
        A form that there is not, and a file that there cannot be, are mistakes.
        """
        self.assertEqual(
            self.complaint("--log-format=xml"), "--log-format 'xml' is neither text nor json"
        )
        for where in ("/nowhere/log", str(self.folder), ""):
            self.assertEqual(
                self.complaint(f"--access-log={where}"), f"--access-log {where!r} can be no file"
            )

    def test_workers(self) -> None:
        """
        Several processes can share a file, but not standard output.
        """
        several = ["--workers=2", f"--sessions=sqlite:{self.folder}/sessions"]
        parse(*several, f"--access-log={self.folder}/log")
        self.assertEqual(
            self.complaint(*several, "--access-log=-"),
            "--access-log -: workers have no standard output; name a file",
        )

    def test_elsewhere(self) -> None:
        """
        The file is meant from where the command line was read.
        """
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        log: Any = parse("--access-log=log").accessLog(self.network)
        os.chdir(before)
        log.open()
        self.assertTrue((self.folder / "log").exists())
        log.close()


class ServingTests(ServiceTestCase):
    """
    The access log of a proxy.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(atexit, "register", lambda function: None)

    def test_stop(self) -> None:
        """
        The file is there from the start; what waits is written when the proxy stops, and
        so are the lines of requests that end then.
        """
        path = self.folder / "log"
        proxy = self.start(f"--access-log={path}", "--log-format=json")
        self.assertTrue(path.exists())
        self.ask(proxy.factory, NOOP)
        self.assertEqual(path.read_bytes(), b"")
        self.stop(proxy.parent)
        (line,) = path.read_text("ascii").splitlines()
        self.assertEqual(json.loads(line)["result"], "success")

    def test_cannotOpen(self) -> None:
        """
        A file that cannot be opened when the proxy starts keeps it from starting, with
        one line.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        service, _ = self.twistd(f"--access-log={folder}/log")
        folder.rmdir()
        self.assertRaises(SystemExit, service.startService)
        self.assertEqual(
            self.lines[-1:],
            [f"--access-log: {folder}/log cannot be opened: No such file or directory"],
        )

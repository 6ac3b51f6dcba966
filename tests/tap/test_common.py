"""
Tests of L{socks6.tap.common}.
"""

from __future__ import annotations

import contextlib
import io

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from socks6 import __version__
from socks6.tap.common import CommonOptions
from tests.raising import errorOf


class ExampleOptions(CommonOptions):
    """
    Options that are wrong in more than one line, if one wants.
    """

    command = "example"
    optFlags = [["anonymous", None, "Let everybody in."], ["wrong", None, "Be wrong."]]

    def postOptions(self) -> None:
        """
        Check that flag.
        """
        if self["wrong"]:
            raise UsageError("this\n  is \t wrong")


class CommonOptionsTests(SynchronousTestCase):
    """
    L{CommonOptions}.
    """

    def test_ports(self) -> None:
        """
        At first there are none; two command lines have nothing in common.
        """
        one, other = ExampleOptions(), ExampleOptions()
        one.ports.append("tcp:1")
        self.assertEqual(other.ports, [])

    def test_version(self) -> None:
        """
        The version is ours, behind the name of the command.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            error = self.assertRaises(SystemExit, ExampleOptions().parseOptions, ["--version"])
        self.assertEqual(error.code, 0)
        self.assertEqual(output.getvalue(), f"twistd example {__version__}\n")

    def test_mistake(self) -> None:
        """
        A mistake is one line, with the name of the command, and exit status 1; which is
        what Python makes of that.
        """
        error = self.assertRaises(SystemExit, ExampleOptions().parseOptions, ["--wrong"])
        self.assertEqual(error.code, "twistd example: this is wrong")

    def test_right(self) -> None:
        """
        Where there is none, nothing is said.
        """
        options = ExampleOptions()
        options.parseOptions(["--anonymous"])
        self.assertTrue(options["anonymous"])
        options.checkAgain()

    def test_openness(self) -> None:
        """
        A port that other machines can reach needs a reason; others do not.
        """
        for arguments, port, closed, isRefused in (
            ([], "tcp:1080", False, True),
            ([], "tcp6:1080", False, True),
            ([], "tcp:1080:interface=192.0.2.1", False, True),
            ([], "tcp:1080", True, False),
            (["--anonymous"], "tcp:1080", False, False),
            ([], "tcp:1080:interface=127.0.0.1", False, False),
            ([], "unix:/run/socks6", False, False),
        ):
            options = ExampleOptions()
            options.parseOptions(arguments)
            error = errorOf(UsageError, options.checkOpenness, port, closed, "--this")
            if not isRefused:
                self.assertIsNone(error, port)
                continue
            self.assertEqual(
                str(error),
                f"{port} can be reached from other machines, and everybody there could use"
                " the proxy: add --this",
            )

    def test_noPort(self) -> None:
        """
        What is no port is a mistake, even where everybody is welcome.
        """
        options = ExampleOptions()
        options.parseOptions(["--anonymous"])
        for closed in (False, True):
            error = errorOf(UsageError, options.checkOpenness, "nope:1", closed, "--this")
            self.assertEqual(
                str(error), "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'"
            )

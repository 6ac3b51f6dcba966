"""
Tests over real sockets, with real programs.
"""

import os
import shutil
from unittest import TestCase

#: Debian keeps servers where only root's search path leads.
_SERVER_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def requireProgram(testCase: TestCase, name: str) -> str:
    """
    Find a program that a test drives, or end the test.

    Where C{CI} is C{true} the program is expected to be installed, so that
    nothing goes untested without anyone knowing.

    @return: The program's path.
    @raise SkipTest: There is no such program.
    @raise AssertionError: There is no such program, and C{CI} is C{true}.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SERVER_FOLDERS])
    program = shutil.which(name, path=path)
    if program is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            testCase.fail(reason)
        testCase.skipTest(reason)
    return program

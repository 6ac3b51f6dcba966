"""
Peers on the loopback interface.
"""

from __future__ import annotations

import socket
from unittest import TestCase


def listen(testCase: TestCase, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """
    Listen, until the test ends.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    testCase.addCleanup(listener.close)
    return listener


def refusingPort(testCase: TestCase, host: str = "127.0.0.1") -> int:
    """
    Find a port that refuses connections, until the test ends.
    """
    handle = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    testCase.addCleanup(handle.close)
    handle.bind((host, 0))
    port: int = handle.getsockname()[1]
    return port


def requireIPv6(testCase: TestCase) -> None:
    """
    Skip the test where the loopback interface has no IPv6.
    """
    try:
        listen(testCase, "::1")
    except OSError as error:
        testCase.skipTest(f"no IPv6 here: {error}")

"""
The program on a network in memory, with a proxy that the test plays.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.urls import PASSWORD_VARIABLE, PROXY_VARIABLE
from socks6.command.options import Options
from socks6.values.messages import Request
from socks6.wire import DRAFT_06
from tests.doubles import Network, Peer
from tests.outbound.upstreams import Upstream

#: Where the proxy is; to a network in memory, all hosts are there.
PROXY = "socks6://127.0.0.1:1080"


def parse(*arguments: str) -> Any:
    """
    Read a command line.

    @return: The options of the command.
    """
    options: Any = Options()
    options.parseOptions(arguments)
    return options.subOptions


class CommandTestCase(SynchronousTestCase):
    """
    A test of a command.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.proxy = Upstream(self.network, "127.0.0.1")
        self.variables()

    def variables(self, **values: str) -> None:
        """
        Let the environment have these variables of ours, and no others.
        """
        others = {
            name: value
            for name, value in os.environ.items()
            if name not in (PASSWORD_VARIABLE, PROXY_VARIABLE)
        }
        self.patch(os, "environ", others | values)

    def start(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """
        Begin to do something.
        """
        done = Deferred.fromCoroutine(work)
        self.network.spin()
        return done

    def accept(self) -> tuple[Peer, Request]:
        """
        Accept the next connection to the proxy.

        @return: It, and what is asked for there.
        """
        peer = self.proxy.accept()
        return peer, DRAFT_06.decodeRequest(peer.take())

    def assertNothingLeft(self) -> None:
        """
        Check that all connections are closed, and that nothing is waited for.
        """
        self.network.spin()
        open_ = [each for each in self.network.connections if not each.everSocket.isClosed]
        self.assertEqual(open_, [])
        self.assertEqual(self.network.getDelayedCalls(), [])


@contextlib.contextmanager
def written() -> Any:
    """
    Catch what is written on standard output and standard error.
    """
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        yield output, errors

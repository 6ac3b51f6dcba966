"""
The server's side of TLS, whose files may be read again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory
from zope.interface import implementer

from socks6.server.tls import datagramContext, serverContext


@implementer(IOpenSSLContextFactory)
class RenewableContext:
    """
    Gives each connection the context of TLS that is in force when it begins.

    @ivar followers: Are given a new context of DTLS whenever the files were read again.
    """

    def __init__(
        self, certificate: Path, privateKey: Path | None = None, clientCA: Path | None = None
    ) -> None:
        """
        Read the files; see L{serverContext}.

        @raise OSError: A file cannot be read.
        @raise ValueError: What a file holds does not serve.
        """
        self.followers: list[Callable[[SSL.Context], None]] = []
        self._options = serverContext(certificate, privateKey, clientCA)
        # They are the same files wherever the process goes.
        self._files = (
            certificate.absolute(),
            privateKey and privateKey.absolute(),
            clientCA and clientCA.absolute(),
        )

    def getContext(self) -> SSL.Context:
        """
        Give the context for a connection that begins now.
        """
        context: SSL.Context = self._options.getContext()
        return context

    def datagramContext(self) -> SSL.Context:
        """
        Make the context of DTLS; see L{datagramContext}.
        """
        return datagramContext(*self._files)

    def prepare(self) -> Callable[[], None]:
        """
        Read the files again.

        @return: Lets connections that begin from then on have what was read.
        @raise OSError: A file cannot be read.
        @raise ValueError: What a file holds does not serve.
        """
        options = serverContext(*self._files)
        # A context of DTLS serves one door only.
        contexts = [self.datagramContext() for _ in self.followers]

        def putInForce() -> None:
            self._options = options
            for follow, context in zip(self.followers, contexts, strict=True):
                follow(context)

        return putInForce

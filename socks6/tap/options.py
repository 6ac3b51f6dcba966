"""
The options of C{twistd socks6}.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.cred.checkers import (
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.internet.ssl import CertificateOptions
from twisted.python import usage

from socks6.listening import endpointDescription
from socks6.server.tls import datagramContext, serverContext
from socks6.tap.accesslog import AccessLogOptions
from socks6.tap.commands import CommandOptions
from socks6.tap.common import CommonOptions
from socks6.tap.metrics import MetricsOptions
from socks6.tap.outbound import OutboundOptions
from socks6.tap.readings import duration
from socks6.tap.sessions import SessionOptions
from socks6.tap.stack import StackOptions
from socks6.tap.workers import WorkerOptions
from socks6.text import octets


class Options(
    CommonOptions,
    AuthOptionMixin,
    CommandOptions,
    SessionOptions,
    OutboundOptions,
    StackOptions,
    WorkerOptions,
    AccessLogOptions,
    MetricsOptions,
):
    """
    The options of C{twistd socks6}.

    @ivar tlsPorts: Endpoint strings to listen on with TLS.
    @ivar tlsContext: The server's side of TLS, if there are such ports.
    @ivar dtlsContext: The same of DTLS.
    @ivar passwordFiles: The files that C{--auth file:} names.
    """

    command = "socks6"
    longdesc = "A SOCKS 6 proxy (draft-olteanu-intarea-socks-6-06)."
    supportedInterfaces = (IUsernamePassword,)

    optParameters: list[Sequence[Any]] = [
        ["certificate", None, None, "PEM file with the TLS certificate and its chain."],
        ["private-key", None, None, "PEM file with its key [default: in --certificate]."],
        ["client-ca", None, None, "PEM file: TLS clients must show a certificate of this CA."],
        duration("connect-timeout", 30.0, "Seconds that a remote host may take to answer."),
        duration("request-timeout", 10.0, "Seconds that a client may take to ask."),
        duration(
            "idle-timeout", None, "Seconds after which a silent tunnel is cut [default: never]."
        ),
        *SessionOptions.parameters,
        *OutboundOptions.parameters,
        *CommandOptions.parameters,
        *WorkerOptions.parameters,
        *AccessLogOptions.parameters,
        *MetricsOptions.parameters,
    ]
    optFlags: list[Sequence[Any]] = [
        ["anonymous", None, "Let everybody who can connect use the proxy."],
        ["no-splice", None, "Let no octets pass through inside the kernel."],
        *SessionOptions.flags,
        *OutboundOptions.flags,
        *StackOptions.flags,
        *MetricsOptions.flags,
    ]

    def __init__(self) -> None:
        """
        Begin with no ports.
        """
        CommonOptions.__init__(self)
        CommandOptions.__init__(self)
        WorkerOptions.__init__(self)
        AccessLogOptions.__init__(self)
        self.tlsPorts: list[str] = []
        self.tlsContext: CertificateOptions | None = None
        self.dtlsContext: SSL.Context | None = None
        self.passwordFiles: list[Path] = []

    def opt_port(self, port: str) -> None:
        """
        Listen on this port of 127.0.0.1, or this endpoint string; repeatable [default: 1080].
        """
        self.ports.append(endpointDescription(port))

    opt_p = opt_port

    def opt_tls_port(self, port: str) -> None:
        """
        The same, with TLS; repeatable.
        """
        self.tlsPorts.append(endpointDescription(port))

    def opt_auth(self, description: str) -> None:
        """
        Whom to let in, like file:/etc/socks6.passwd; repeatable; see --help-auth.
        """
        kind, _, argument = description.partition(":")
        if kind == "file" and argument:
            # twistd goes elsewhere before the file is read.
            self._checkPasswords(Path(argument))
            passwords = Path(argument).absolute()
            self.passwordFiles.append(passwords)
            description = f"file:{passwords}"
        super().opt_auth(description)  # type: ignore[no-untyped-call]

    @staticmethod
    def _checkPasswords(passwords: Path) -> None:
        """
        Check that a password file can be read; strcred only warns, and then
        nobody gets in.

        @raise usage.UsageError: It cannot.
        """
        try:
            with passwords.open("rb"):
                pass
        except OSError as error:
            raise usage.UsageError(
                f"--auth: the password file {passwords} cannot be read: {error.strerror}"
            ) from error

    def checkAgain(self) -> None:
        """
        Check once more that the password files can be read, now that the process
        is who it will be and where it will be, and open the access log.

        @raise usage.UsageError: One cannot.
        """
        self.openAccessLog()
        for passwords in self.passwordFiles:
            self._checkPasswords(passwords)

    def addChecker(self, checker: ICredentialsChecker) -> None:
        """
        Take a checker; the passwords of C{memory:} become octets, as those of
        clients are.
        """
        if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
            checker.users = {octets(name): octets(word) for name, word in checker.users.items()}
        super().addChecker(checker)  # type: ignore[no-untyped-call]

    def postOptions(self) -> None:
        """
        Check what the options say together.

        @raise usage.UsageError: They make no sense.
        """
        if not self.ports and not self.tlsPorts:
            self.opt_port("1080")
        self.checkOutbound()
        self.checkCommands(isDirect=self["outbound"] is None)
        self.checkStack()
        self.checkWorkers(bool(self.udpPorts or self.dtlsPorts))
        self.checkAccessLog(self.areMany)
        self.checkMetrics()
        self._checkTLS()
        if self["anonymous"] and self.checkers:
            raise usage.UsageError("--anonymous and --auth contradict each other")
        for port in self.ports:
            self.checkOpenness(port, bool(self.checkers), "--auth or --anonymous")
        for port in self.tlsPorts:
            closed = bool(self.checkers or self["client-ca"])
            self.checkOpenness(port, closed, "--auth, --client-ca or --anonymous")

    @property
    def checkers(self) -> list[ICredentialsChecker]:
        """
        Who knows the users' passwords.
        """
        found: list[ICredentialsChecker] = self.get("credCheckers", [])
        return found

    def _checkTLS(self) -> None:
        """
        Load the TLS files.

        @raise usage.UsageError: One cannot be used, is missing, or is of no use.
        """
        files = {
            name: Path(self[name]) if self[name] is not None else None
            for name in ("certificate", "private-key", "client-ca")
        }
        certificate = files["certificate"]
        if not self.tlsPorts and not self.dtlsPorts:
            for name, path in files.items():
                if path is not None:
                    raise usage.UsageError(f"--{name} needs a --tls-port or a --dtls-port")
            return
        if certificate is None:
            port = "--tls-port" if self.tlsPorts else "--dtls-port"
            raise usage.UsageError(f"{port} needs a --certificate")
        try:
            self.tlsContext = serverContext(certificate, files["private-key"], files["client-ca"])
            if self.dtlsPorts:
                self.dtlsContext = datagramContext(
                    certificate, files["private-key"], files["client-ca"]
                )
        except OSError as error:
            raise usage.UsageError(f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise usage.UsageError(str(error)) from error

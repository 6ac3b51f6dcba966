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
from twisted.python import usage

from socks6.listening import endpointDescription
from socks6.server.renewal import RenewableContext
from socks6.tap.accesslog import AccessLogOptions
from socks6.tap.admin import AdminOptions
from socks6.tap.commands import CommandOptions
from socks6.tap.common import CommonOptions
from socks6.tap.limits import LimitOptions
from socks6.tap.metrics import MetricsOptions
from socks6.tap.outbound import OutboundOptions
from socks6.tap.passwords import PasswordOptions
from socks6.tap.readings import duration
from socks6.tap.reloading import Reloadable
from socks6.tap.rules import RuleOptions, report
from socks6.tap.sessions import SessionOptions
from socks6.tap.stack import StackOptions
from socks6.tap.workers import WorkerOptions
from socks6.text import octets


class Options(
    CommonOptions,
    AuthOptionMixin,
    PasswordOptions,
    CommandOptions,
    SessionOptions,
    OutboundOptions,
    StackOptions,
    LimitOptions,
    WorkerOptions,
    RuleOptions,
    AdminOptions,
    AccessLogOptions,
    MetricsOptions,
):
    """
    The options of C{twistd socks6}.

    @ivar tlsPorts: Endpoint strings to listen on with TLS.
    @ivar tlsContext: The server's side of TLS, if there are such ports.
    @ivar dtlsContext: The same of DTLS.
    @ivar passwordFiles: The files that C{--auth file:} and C{--auth htpasswd:} name.
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
        *PasswordOptions.parameters,
        *SessionOptions.parameters,
        *OutboundOptions.parameters,
        *CommandOptions.parameters,
        *LimitOptions.parameters,
        *WorkerOptions.parameters,
        *RuleOptions.parameters,
        *AdminOptions.parameters,
        *AccessLogOptions.parameters,
        *MetricsOptions.parameters,
    ]
    optFlags: list[Sequence[Any]] = [
        ["anonymous", None, "Let everybody who can connect use the proxy."],
        ["no-splice", None, "Let no octets pass through inside the kernel."],
        *SessionOptions.flags,
        *OutboundOptions.flags,
        *StackOptions.flags,
        *RuleOptions.flags,
        *MetricsOptions.flags,
    ]

    def __init__(self) -> None:
        """
        Begin with no ports.
        """
        CommonOptions.__init__(self)
        CommandOptions.__init__(self)
        WorkerOptions.__init__(self)
        RuleOptions.__init__(self)
        AdminOptions.__init__(self)
        AccessLogOptions.__init__(self)
        self.tlsPorts: list[str] = []
        self.tlsContext: RenewableContext | None = None
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
        if kind in ("file", "htpasswd") and argument:
            # twistd goes elsewhere before the file is read, or read again.
            self._checkPasswords(Path(argument))
            passwords = Path(argument).absolute()
            self.passwordFiles.append(passwords)
            if kind == "htpasswd":
                self.addChecker(self.htpasswdChecker(passwords))
                return
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
        self.checkAdmin(self.areMany)
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
        self.checkRules()
        if self["check"]:
            print(report(self))  # noqa: T201
            raise SystemExit(0)

    @property
    def checkers(self) -> list[ICredentialsChecker]:
        """
        Who knows the users' passwords.
        """
        found: list[ICredentialsChecker] = self.get("credCheckers", [])
        return found

    @property
    def reloadables(self) -> dict[str, Reloadable]:
        """
        What is read again on SIGHUP, by the words for it.
        """
        contents: dict[str, Reloadable] = {}
        if self["rules"] is not None:
            contents["rules"] = self.ruleBook
        if self.tlsContext is not None:
            contents["certificates"] = self.tlsContext
        checkers = [checker for checker in self.checkers if isinstance(checker, Reloadable)]
        for number, checker in enumerate(checkers, 1):
            contents["passwords" if len(checkers) == 1 else f"passwords {number}"] = checker
        if self.adminPassword is not None:
            contents["the admin page's password"] = self.adminPassword
        return contents

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
            self.tlsContext = RenewableContext(
                certificate, files["private-key"], files["client-ca"]
            )
            if self.dtlsPorts:
                self.dtlsContext = self.tlsContext.datagramContext()
        except OSError as error:
            raise usage.UsageError(f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise usage.UsageError(str(error)) from error

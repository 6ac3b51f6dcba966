"""
C{socks6 probe}: what a proxy offers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from socks6.client.destination import destinationAddress
from socks6.command.connect import BROKEN, REFUSED
from socks6.command.guess import whatSpeaks
from socks6.command.inquiry import Answer, ask
from socks6.command.options import ProbeOptions
from socks6.command.standard import complain, endOutput
from socks6.text import words
from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.codes import (
    AuthenticationMethod,
    AuthenticationResult,
    Command,
    Leg,
    ReplyCode,
    TokenOutcome,
)
from socks6.values.messages import Request
from socks6.values.options import (
    AuthenticationMethods,
    IPTypeOfService,
    MultipathTCP,
    Option,
    OptionList,
    SessionID,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
)

#: Seconds that the proxy may take to reply, and to connect somewhere, for which others
#: have time limits as well.
ANSWER_TIMEOUT = 10.0
CONNECT_TIMEOUT = 45.0

#: Tokens that we ask for.
WINDOW_SIZE = 64

#: A type of service to ask for: expedited forwarding.
TYPE_OF_SERVICE = 0xB8

#: Where the next word of a name in a report begins.
_NEXT_WORD = re.compile("(?<=[a-z])(?=[A-Z])")


async def probe(reactor: Any, options: ProbeOptions) -> int:
    """
    Find out what a proxy offers, and print it.

    @return: The exit status: 0; REFUSED if it does not let us in, or does not connect
        where we want to; BROKEN if it cannot be reached, is no SOCKS 6 proxy or does
        not reply to that, or what is found cannot be printed.
    """
    inquirer = _Probe(reactor, options)
    await inquirer.run()
    report = inquirer.report
    text = json.dumps(report, indent=2) if options["json"] else "\n".join(_lines(report))
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        complain(error)
        # Python would write what is left once more.
        endOutput()
        return BROKEN
    return inquirer.status


class _Probe:
    """
    Asks one thing after the other.

    @ivar report: What has been found out, as it is in JSON.
    @ivar status: The exit status.
    """

    def __init__(self, reactor: Any, options: ProbeOptions) -> None:
        """
        @param options: Name the proxy.
        """
        url = options.url
        self.report: dict[str, Any] = {"proxy": str(url)}
        self.status = 0
        self._reactor = reactor
        self._endpoint = url.endpoint(reactor)
        self._credentials: Sequence[Option] = () if url.credentials is None else (url.credentials,)
        self._destination = options.destination

    async def _ask(
        self, command: Command, *options: Option, address: Address = UNSPECIFIED_IPV4
    ) -> Answer:
        """
        Make a request.
        """
        request = Request(command, address, OptionList(options))
        timeout = CONNECT_TIMEOUT if command is Command.CONNECT else ANSWER_TIMEOUT
        return await ask(self._reactor, self._endpoint, request, timeout)

    async def run(self) -> None:
        """
        Find out everything.
        """
        report = self.report
        anonymous = await self._ask(Command.NOOP)
        if anonymous.authentication is None:
            report["fault"] = anonymous.fault
            self.status = BROKEN
            if anonymous.times:
                found = await whatSpeaks(self._reactor, self._endpoint)
                if found is not None:
                    report["fault"] += f"; it speaks {found}"
            return
        report["tls"] = anonymous.tls
        isOpen = _isAdmitted(anonymous)
        report["authentication"] = {
            "required": not isOpen,
            "methods": [] if isOpen else await self._methods(),
        }
        opening = await self._ask(
            Command.NOOP, *self._credentials, SessionRequest(), TokenRequest(WINDOW_SIZE)
        )
        report["authentication"]["accepted"] = _isAdmitted(opening)
        if not _isAdmitted(opening):
            report["fault"] = opening.fault
            self.status = REFUSED
            return
        await self._session(opening)
        report["commands"] = {
            _key(command): await self._command(command)
            for command in (Command.BIND, Command.UDP_ASSOCIATE)
        }
        report["timing"] = {"noop": _phases(opening)}
        if self._destination is not None:
            await self._connect(*self._destination)

    async def _methods(self) -> list[str]:
        """
        Find out how one can authenticate.
        """
        found = []
        data = await self._ask(
            Command.NOOP, AuthenticationMethods(0, (AuthenticationMethod.USERNAME_PASSWORD,))
        )
        if data.demandsCredentials:
            found.append(words(AuthenticationMethod.USERNAME_PASSWORD))
        return found

    async def _session(self, opening: Answer) -> None:
        """
        Find out about sessions and tokens.

        @param opening: The answer to a Session Request.
        """
        assert opening.authentication is not None
        options = opening.authentication.options
        given = options.first(SessionID)
        window = options.first(TokenWindowAdvertisement)
        self.report["sessions"] = sessions = {"offered": given is not None}
        tokens: dict[str, Any] = {"offered": window is not None}
        self.report["tokens"] = tokens
        if given is None:
            return
        sessions["trusted"] = options.first(SessionUntrusted) is None
        wishes: list[Option] = [SessionID(given.identifier)]
        if not sessions["trusted"]:
            wishes += self._credentials
        if window is not None:
            tokens["window"] = window.size
            wishes.append(TokenExpenditure(window.base))
        use = await self._ask(Command.NOOP, *wishes, SessionTeardown())
        found = use.authentication
        sessions["usable"] = found is not None and found.options.first(SessionOK) is not None
        spent = None if found is None else found.options.first(TokenExpenditureReply)
        if window is not None:
            tokens["usable"] = spent is not None and spent.outcome is TokenOutcome.SUCCESS

    async def _command(self, command: Command) -> str:
        """
        Find out whether the proxy knows a command.

        @return: C{yes}, C{no}, or why it does not say.
        """
        answer = await self._ask(command, *self._credentials)
        if answer.operation is None:
            return answer.fault
        code = answer.operation.code
        if code == ReplyCode.SUCCESS:
            return "yes"
        return "no" if code == ReplyCode.COMMAND_NOT_SUPPORTED else words(code)

    async def _connect(self, host: str, port: int) -> None:
        """
        Find out about CONNECT, and what the proxy makes of stack options.
        """
        answer = await self._ask(
            Command.CONNECT,
            *self._credentials,
            IPTypeOfService(Leg.BOTH, TYPE_OF_SERVICE),
            address=destinationAddress(host, port),
        )
        reply = answer.operation
        self.report["timing"]["connect"] = _phases(answer)
        if reply is None:
            self.report["commands"]["connect"] = answer.fault
            isRefused = answer.authentication is not None and not _isAdmitted(answer)
            self.status = REFUSED if isRefused else BROKEN
            return
        isConnected = reply.code == ReplyCode.SUCCESS
        self.status = 0 if isConnected else REFUSED
        self.report["commands"]["connect"] = "yes" if isConnected else words(reply.code)
        if isConnected:
            self.report["bound"] = str(reply.address)
            honoured = {_key(each.leg): each.tos for each in reply.options.stack(IPTypeOfService)}
            self.report["stackOptions"] = {
                "ipTypeOfService": honoured,
                "multipathTCP": reply.options.first(MultipathTCP) is not None,
            }


def _isAdmitted(answer: Answer) -> bool:
    """
    Tell whether the proxy has let us in.
    """
    reply = answer.authentication
    return reply is not None and reply.result is AuthenticationResult.SUCCESS


def _key(number: int) -> str:
    """
    Write one of the protocol's numbers as a name in a report: C{proxyRemote}.
    """
    first, *others = words(number).split()
    return first + "".join(map(str.capitalize, others))


def _spaced(name: str) -> str:
    """
    Write a name in a report for people: C{proxy remote}.
    """
    return _NEXT_WORD.sub(" ", name).lower()


def _phases(answer: Answer) -> list[dict[str, Any]]:
    """
    Tell how long each phase of a request took: in milliseconds, and in round trips to
    the proxy.
    """
    roundTrip = answer.roundTrip or 0.0
    before = 0.0
    phases = []
    for phase, end in answer.times.items():
        seconds = end - before
        before = end
        phases.append(
            {
                "phase": phase,
                "milliseconds": round(seconds * 1000, 3),
                "roundTrips": round(seconds / roundTrip, 1) if roundTrip else None,
            }
        )
    return phases


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """
    Write a report for people.
    """
    for name, value in report.items():
        if name == "timing":
            continue
        yield f"{_spaced(name) + ':':<16}{_inWords(value)}"
    for request, phases in report.get("timing", {}).items():
        yield ""
        yield f"{request + ',':<16}{'ms':>10}{'round trips':>14}"
        for phase in phases:
            trips = "" if phase["roundTrips"] is None else f"{phase['roundTrips']:.1f}"
            yield f"  {phase['phase']:<14}{phase['milliseconds']:>10.3f}{trips:>14}"


def _inWords(value: Any) -> str:
    """
    Write a part of a report in one line.
    """
    if isinstance(value, dict):
        parts = (f"{_spaced(name)} {_inWords(each)}" for name, each in value.items())
        return ", ".join(parts) or "-"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if value is None:
        return "no"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

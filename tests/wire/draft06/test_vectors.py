"""
The golden messages of C{tests/vectors/draft06.json}, made by an encoder that
has nothing in common with ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import Address, DomainName, Host
from socks6.values.codes import AuthenticationResult, Leg, MultipathScheduler, TokenOutcome
from socks6.values.messages import (
    AssociationConfirmation,
    AssociationInitialization,
    AuthenticationReply,
    DatagramHeader,
    OperationReply,
    Request,
    UsernamePasswordReply,
    VersionMismatchReply,
)
from socks6.values.options import (
    AuthenticationData,
    AuthenticationMethods,
    IPTypeOfService,
    ListenBacklog,
    MultipathSchedulerChoice,
    MultipathTCP,
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TCPFastOpen,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire import draft06
from socks6.wire.draft06.options import decodeOptions, encodeOption
from tests.raising import errorOf
from tests.wire.draft06.golden import (
    ASSOCIATION_INITIALIZATION,
    AUTHENTICATION_REPLY,
    OPERATION_REPLY,
    REQUEST,
    USERNAME_PASSWORD,
    USERNAME_PASSWORD_REPLY,
)
from tests.wire.spelling import Spelling

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "draft06.json").read_text("utf-8")
)


class Fields:
    """
    The fields of a vector, each to be taken once.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def take(self, name: str) -> Any:
        """
        Take a field.

        @raise KeyError: There is none, or it was taken before.
        """
        return self._fields.pop(name)

    def octets(self, name: str) -> bytes:
        """
        Take a field with hexadecimal digits.
        """
        return bytes.fromhex(self.take(name))

    def text(self, name: str) -> bytes:
        """
        Take a field with text, or the octets that are given beside it for text
        with more than one spelling.
        """
        text: str = self.take(name)
        return self.octets(f"{name}_hex") if f"{name}_hex" in self._fields else text.encode()

    def nothingLeft(self) -> None:
        """
        Check that no field was overlooked.

        @raise LookupError: One was.
        """
        if self._fields:
            raise LookupError(f"fields that nobody understands: {sorted(self._fields)}")


def _onRemoteLeg(fields: Fields, option: TCPFastOpen | MultipathTCP | ListenBacklog) -> Option:
    """
    Check that the vector means the only leg that an option can have.
    """
    if fields.take("leg") != option.leg:
        raise LookupError(f"{option!r} has no other leg")
    return option


OPTIONS: Mapping[str, Callable[[Fields], Option]] = {
    "tos": lambda fields: IPTypeOfService(Leg(fields.take("leg")), fields.take("tos")),
    "tfo": lambda fields: _onRemoteLeg(fields, TCPFastOpen(fields.take("payload_size"))),
    "mptcp": lambda fields: _onRemoteLeg(fields, MultipathTCP()),
    "mptcp_sched": lambda fields: MultipathSchedulerChoice(
        Leg(fields.take("leg")), MultipathScheduler(fields.take("scheduler"))
    ),
    "backlog": lambda fields: _onRemoteLeg(fields, ListenBacklog(fields.take("backlog"))),
    "auth_methods": lambda fields: AuthenticationMethods(
        fields.take("initial_data_len"), tuple(fields.take("methods"))
    ),
    "auth_userpass": lambda fields: UsernamePassword(
        fields.text("username"), fields.text("password")
    ),
    "auth_data": lambda fields: AuthenticationData(
        fields.take("method"), fields.octets("data_hex")
    ),
    "session_request": lambda fields: SessionRequest(),
    "session_id": lambda fields: SessionID(fields.octets("id_hex")),
    "session_teardown": lambda fields: SessionTeardown(),
    "session_ok": lambda fields: SessionOK(),
    "session_invalid": lambda fields: SessionInvalid(),
    "session_untrusted": lambda fields: SessionUntrusted(),
    "idem_request": lambda fields: TokenRequest(fields.take("window_size")),
    "idem_advert": lambda fields: TokenWindowAdvertisement(
        fields.take("window_base"), fields.take("window_size")
    ),
    "idem_expend": lambda fields: TokenExpenditure(fields.take("token")),
    "idem_reply": lambda fields: TokenExpenditureReply(TokenOutcome(fields.take("code"))),
    "raw": lambda fields: UnknownOption(fields.take("kind"), fields.octets("data_hex")),
}


def option(fields: Fields) -> Option:
    """
    Make the option that a vector names.
    """
    value = OPTIONS[fields.take("opt")](fields)
    fields.nothingLeft()
    return value


def options(fields: Fields) -> OptionList:
    """
    Make the options of a message.
    """
    return OptionList(option(Fields(each)) for each in fields.take("options"))


def address(fields: Fields) -> Address:
    """
    Make the address of a message.
    """
    hosts: Mapping[int, Callable[[], Host]] = {
        1: lambda: IPv4Address(fields.take("addr")),
        3: lambda: DomainName(fields.text("addr")),
        4: lambda: IPv6Address(fields.take("addr")),
    }
    return Address(hosts[fields.take("atyp")](), fields.take("port"))


MESSAGES: Mapping[str, Callable[[Fields], object]] = {
    "request": lambda fields: Request(fields.take("command"), address(fields), options(fields)),
    "version_mismatch": lambda fields: VersionMismatchReply(),
    "auth_reply": lambda fields: AuthenticationReply(
        AuthenticationResult(fields.take("type")), fields.take("method"), options(fields)
    ),
    "op_reply": lambda fields: OperationReply(
        fields.take("code"), address(fields), options(fields)
    ),
    "option": option,
    "udp_datagram": lambda fields: (
        DatagramHeader(fields.take("assoc_id"), address(fields)),
        fields.octets("payload_hex"),
    ),
    "udp_assoc_init": lambda fields: AssociationInitialization(fields.take("assoc_id")),
    "udp_assoc_confirm": lambda fields: AssociationConfirmation(),
    "userpass_request": lambda fields: UsernamePassword(
        fields.text("username"), fields.text("password")
    ),
    "userpass_reply": lambda fields: UsernamePasswordReply(fields.take("status")),
}


def _decodeVersionMismatchReply(octets: bytes) -> VersionMismatchReply | None:
    """
    Read a Version Mismatch Reply: there is nothing to it.
    """
    return VersionMismatchReply() if draft06.isVersionMismatchReply(octets) else None


def _decodeAssociationConfirmation(octets: bytes) -> AssociationConfirmation | None:
    """
    Read an Association Confirmation: it is all in its length.
    """
    whole = draft06.associationConfirmationLength(octets) == len(octets)
    return AssociationConfirmation() if whole else None


def _decodeOption(octets: bytes) -> Option:
    """
    Read octets that are one option.
    """
    (only,) = decodeOptions(octets, 0)
    return only


def _decodeDatagram(octets: bytes) -> tuple[DatagramHeader, bytes]:
    """
    Read a datagram with its payload.
    """
    header, end = draft06.decodeDatagramHeader(octets)
    return header, octets[end:]


#: The messages that a length function finds the end of.
FRAMED: Mapping[str, Spelling] = {
    "request": REQUEST,
    "auth_reply": AUTHENTICATION_REPLY,
    "op_reply": OPERATION_REPLY,
    "udp_assoc_init": ASSOCIATION_INITIALIZATION,
    "userpass_request": USERNAME_PASSWORD,
    "userpass_reply": USERNAME_PASSWORD_REPLY,
}

DECODERS: Mapping[str, Callable[[bytes], object]] = {
    **{message: spelling.decode for message, spelling in FRAMED.items()},
    "version_mismatch": _decodeVersionMismatchReply,
    "option": _decodeOption,
    "udp_datagram": _decodeDatagram,
    "udp_assoc_confirm": _decodeAssociationConfirmation,
}

ENCODERS: Mapping[str, Callable[[Any], bytes]] = {
    **{message: spelling.encode for message, spelling in FRAMED.items()},
    "version_mismatch": lambda value: draft06.encodeVersionMismatchReply(),
    "option": encodeOption,
    "udp_datagram": lambda value: draft06.encodeDatagramHeader(value[0]) + value[1],
    "udp_assoc_confirm": lambda value: draft06.encodeAssociationConfirmation(),
}


class VectorsTests(SynchronousTestCase):
    """
    Each vector's octets and fields are the same message.
    """

    def each(self) -> list[tuple[str, str, bytes, Any]]:
        """
        Read the vectors.

        @return: Of each its name, the kind of message, the octets, and the
            value that its fields describe.
        """
        found = []
        for vector in VECTORS:
            name, message = vector["name"], vector["message"]
            fields = Fields(vector["fields"])
            try:
                value = MESSAGES[message](fields)
                fields.nothingLeft()
            except (LookupError, ValueError) as error:
                self.fail(f"{name}: {error!r}")
            found.append((name, message, bytes.fromhex(vector["hex"]), value))
        self.assertNotEqual(found, [])
        return found

    def test_decode(self) -> None:
        """
        The octets say what the fields say.
        """
        for name, message, octets, value in self.each():
            self.assertEqual(DECODERS[message](octets), value, name)

    def test_encode(self) -> None:
        """
        What the fields say becomes the octets.
        """
        for name, message, octets, value in self.each():
            self.assertEqual(ENCODERS[message](value).hex(), octets.hex(), name)

    def test_encodeAgain(self) -> None:
        """
        What was read is written with the same octets.
        """
        for name, message, octets, _ in self.each():
            self.assertEqual(ENCODERS[message](DECODERS[message](octets)).hex(), octets.hex(), name)

    def test_everyPrefix(self) -> None:
        """
        A vector's end is found, and not before all of it is there.
        """
        for name, message, octets, _ in self.each():
            if message in FRAMED:
                length = FRAMED[message].length
                for cut in range(len(octets)):
                    self.assertTrue(cut < length(octets[:cut]) <= len(octets), f"{name}, at {cut}")
                self.assertEqual(length(octets), len(octets), name)

    def test_unknown(self) -> None:
        """
        A vector that holds what these tests do not understand is not passed
        over.
        """
        for what, fields in (
            ("an option", {"opt": "new"}),
            ("a field", {"opt": "session_ok", "new": 1}),
            ("a leg", {"opt": "tfo", "payload_size": 0, "leg": 1}),
            ("a lack", {"opt": "tos", "leg": 1}),
        ):
            self.assertIsNotNone(errorOf(LookupError, option, Fields(fields)), what)

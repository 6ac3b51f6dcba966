"""
HTTP/1.x as far as a proxy speaks it: the head of a request, and small answers.

A body is passed on as it comes, so nothing here knows where one ends.  What a
proxy makes of a request stands in L{socks6.wire.httpproxy}.

The grammar is held to strictly, as whoever reads a request differently from the
server behind us opens a hole: no line ends but with CR and LF, no line continues
the one before, no space stands before a colon.

@see: RFC 9112, sections 2 to 5; L{socks6.wire.codec} for what L{headLength}
    returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from socks6.wire.codec import Octets
from socks6.wire.errors import AnotherProtocol, MalformedMessage, VersionMismatch
from socks6.wire.framing import checkWhole

#: Octets of a request's head, from the method to the empty line.
MAX_HEAD_LENGTH = 16384

#: A field's name and value.
Field = tuple[bytes, bytes]

# Possessive: no octet is given back, so matching takes linear time.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TARGET = rb"[!-~]++"
_VERSION = rb"HTTP/1\.[01]"
# More than the grammar has: programs put control characters into cookies.
_VALUE = rb"[^\0\r\n]*+"

_LINES = re.compile(
    rb"%(token)b %(target)b %(version)b\r\n(?:%(token)b:%(value)b\r\n)*+"
    % {b"token": _TOKEN, b"target": _TARGET, b"version": _VERSION, b"value": _VALUE}
)

# How the first line may begin, as far as it is there.
_FIRST_LINE_START = re.compile(
    rb"%b(?: (?:%b(?: (?P<version>.*))?)?)?" % (_TOKEN, _TARGET), re.DOTALL
)
_VERSION_ENDS = (b"HTTP/1.0\r\n", b"HTTP/1.1\r\n")
_OTHER_VERSION = re.compile(rb"HTTP/(?:[02-9]|1\.[2-9])")

# How another line may begin, the empty one included.
_LINE_START = re.compile(rb"\r|(?:%b(?::%b\r?)?)?" % (_TOKEN, _VALUE))

_NAME_PATTERN = re.compile(_TOKEN)
_TARGET_PATTERN = re.compile(_TARGET)
_VERSION_PATTERN = re.compile(_VERSION)
_VALUE_PATTERN = re.compile(rb"(?:[^\0\r\n \t](?:[^\0\r\n]*[^\0\r\n \t])?)?")
_REASON_PATTERN = re.compile(rb"[\t -~]*")


def _checkField(name: bytes, value: bytes) -> None:
    """
    Check that a field can be written so that it is read as the same one.

    @raise ValueError: It cannot.
    """
    if not _NAME_PATTERN.fullmatch(name):
        raise ValueError("not the name of a field")
    if not _VALUE_PATTERN.fullmatch(value):
        raise ValueError("not the value of a field")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """
    What a request begins with.

    Its C{repr} leaves out what can hold a secret.

    @ivar method: Such as C{GET}; case matters.
    @ivar target: What it is about, as the client wrote it.
    @ivar version: C{HTTP/1.0} or C{HTTP/1.1}.
    @ivar headers: Names and values of the fields, in their order; the values
        without the white space around them.
    """

    method: bytes
    target: bytes = field(repr=False)
    version: bytes = b"HTTP/1.1"
    headers: tuple[Field, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: One of them cannot be written.
        """
        for what, pattern, octets in (
            ("a method", _NAME_PATTERN, self.method),
            ("a target", _TARGET_PATTERN, self.target),
            ("a version", _VERSION_PATTERN, self.version),
        ):
            if not pattern.fullmatch(octets):
                raise ValueError(f"not {what} of a request")
        for name, value in self.headers:
            _checkField(name, value)

    def values(self, name: bytes) -> list[bytes]:
        """
        Find the values of all fields of a name.

        @param name: The name in lower case.
        """
        return [value for each, value in self.headers if each.lower() == name]

    def elements(self, name: bytes) -> list[bytes]:
        """
        Find the elements of a list that all fields of a name make together.

        @param name: The name in lower case.
        @return: The elements in lower case.
        @see: RFC 9110, section 5.6.1.
        """
        listed = b",".join(self.values(name)).lower().split(b",")
        return [element for each in listed if (element := each.strip(b" \t"))]


def headLength(octets: Octets) -> int:
    """
    Find the end of the head of a request::

        method 0x20 target 0x20 version 0x0d0a
        name 0x3a value 0x0d0a                  any number of times
        0x0d0a

    A head tells no length, so all that is there is looked at, up to 16384 octets.

    An empty line before the first one "SHOULD" be ignored; but that is for a
    client's second request on a connection, and we take one.

    @raise AnotherProtocol: The first octet begins no method.
    @raise VersionMismatch: The version is neither 1.0 nor 1.1.
    @raise MalformedMessage: It cannot be a head, or not one of so many octets.
    @see: RFC 9112, sections 2.1, 2.2, 3 and 5.
    """
    lines = _LINES.match(octets, 0, MAX_HEAD_LENGTH)
    if lines is None:
        _checkFirstLine(bytes(octets[:MAX_HEAD_LENGTH]))
    else:
        end = lines.end()
        if octets[end : end + 2] == b"\r\n" and end + 2 <= MAX_HEAD_LENGTH:
            return end + 2
        if not _LINE_START.fullmatch(octets, end, MAX_HEAD_LENGTH):
            raise MalformedMessage("malformed field in the head of a request")
    if len(octets) >= MAX_HEAD_LENGTH:
        raise MalformedMessage(f"a head of more than {MAX_HEAD_LENGTH} octets")
    return len(octets) + 1


def _checkFirstLine(octets: bytes) -> None:
    """
    Check the first line of a head, as far as it is there.

    @raise AnotherProtocol: The first octet begins no method.
    @raise VersionMismatch: The version is neither 1.0 nor 1.1.
    @raise MalformedMessage: It is broken otherwise.
    """
    if not octets:
        return
    if not _NAME_PATTERN.match(octets):
        raise AnotherProtocol(f"not an HTTP client: its first octet is {octets[0]}")
    line = _FIRST_LINE_START.fullmatch(octets)
    if line is None:
        raise MalformedMessage("malformed first line of a request")
    version = line["version"] or b""
    if any(end.startswith(version) for end in _VERSION_ENDS):
        return
    if _OTHER_VERSION.match(version):
        raise VersionMismatch("neither HTTP/1.0 nor HTTP/1.1")
    raise MalformedMessage("malformed version of HTTP")


def decodeHead(octets: bytes) -> RequestHead:
    """
    Read the whole head of a request.

    @raise AnotherProtocol: The first octet begins no method.
    @raise VersionMismatch: The version is neither 1.0 nor 1.1.
    @raise MalformedMessage: It is not exactly one well-formed head.
    @see: L{encodeHead}
    """
    checkWhole(octets, headLength(octets))
    first, *lines = octets[: -len(b"\r\n\r\n")].split(b"\r\n")
    method, target, version = first.split(b" ")
    fields = (line.partition(b":") for line in lines)
    return RequestHead(
        method, target, version, tuple((name, value.strip(b" \t")) for name, _, value in fields)
    )


def _encodeLines(first: bytes, fields: Iterable[Field]) -> bytes:
    """
    Write a head.
    """
    lines = [first, *(b"%b: %b" % each for each in fields), b"", b""]
    return b"\r\n".join(lines)


def encodeHead(head: RequestHead) -> bytes:
    """
    Write the head of a request::

        method 0x20 target 0x20 version 0x0d0a
        name 0x3a20 value 0x0d0a                any number of times
        0x0d0a

    @see: RFC 9112, sections 2.1, 3 and 5.
    """
    return _encodeLines(b" ".join((head.method, head.target, head.version)), head.headers)


def encodeResponse(
    status: int, reason: str, headers: Iterable[Field] = (), body: bytes = b""
) -> bytes:
    """
    Write an answer of our own, the last one on its connection.

    @param status: 200 to 599.
    @param reason: What it means, in printable ASCII.
    @param headers: Fields, besides C{Content-Length} and C{Connection}.
    @return: The head, and the body::

        version 0x20 status 0x20 reason 0x0d0a
        name 0x3a20 value 0x0d0a                any number of times
        0x0d0a
        body

    @raise ValueError: The status is out of range, or the reason or a field cannot
        be written.
    @see: RFC 9112, sections 4 and 9.6.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"status out of range: {status}")
    phrase = reason.encode("ascii")
    if not _REASON_PATTERN.fullmatch(phrase):
        raise ValueError("not a reason of a response")
    fields = [*headers, (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
    for name, value in fields:
        _checkField(name, value)
    return _encodeLines(b"HTTP/1.1 %d %b" % (status, phrase), fields) + body


#: The answer to a CONNECT that succeeded.  It has no length: "any 2xx response"
#: to that method ends with its head, and then octets pass.
CONNECTION_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

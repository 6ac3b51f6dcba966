"""
Targets: what reads HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

from socks6.wire.errors import PeerError
from socks6.wire.http import RequestHead, decodeHead, encodeHead, headLength
from socks6.wire.httpproxy import (
    absoluteTarget,
    authorityAddress,
    basicCredentials,
    connectTarget,
    errorStatus,
    forwardedHead,
)
from tests.fuzz.wire import Target, checkLength, checkMessage, outcome
from tests.wire.spelling import Spelling

HEAD = Spelling("head of a request", headLength, decodeHead, encodeHead)

#: Fields that tell where a body ends.
FRAMING = (b"content-length", b"transfer-encoding")

#: Fields that go no further than the proxy.
OURS = (b"proxy-authorization", b"proxy-connection", b"keep-alive", b"te", b"trailer")


def head(octets: bytes) -> None:
    """
    The head of a request.

    A head whose lines became longer when it was written would be none any more, so only
    short ones are read back.
    """
    if len(octets) < 4096:
        checkMessage(HEAD, octets, exact=False)
    else:
        outcome(decodeHead, octets)


def _forwarded(asked: RequestHead) -> None:
    """
    Check what the origin server gets, if it gets something.
    """
    try:
        authority, target = absoluteTarget(asked)
        written = forwardedHead(asked)
    except PeerError as error:
        assert errorStatus(error) >= 400
        return
    given = decodeHead(written)
    assert (given.method, given.target, given.version) == (asked.method, target, asked.version)
    assert given.values(b"host") == [authority.octets]
    assert len(given.values(b"connection")) == 1
    for name in FRAMING:
        assert given.values(name) == asked.values(name), "the body ends elsewhere"
    for name in OURS:
        assert not given.values(name)


def proxied(octets: bytes) -> None:
    """
    A request that is addressed to a proxy.
    """
    end = checkLength(headLength, octets[:2048])
    asked = outcome(decodeHead, octets if end is None else octets[:end])
    if isinstance(asked, type):
        return
    named = outcome(lambda _: connectTarget(asked), b"")
    if not isinstance(named, type):
        assert authorityAddress(named).port == named.port
    basicCredentials(asked)
    _forwarded(asked)


TARGETS: Mapping[str, Target] = {"http": head, "httpproxy": proxied}

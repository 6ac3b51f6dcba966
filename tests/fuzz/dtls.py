"""
Targets: DTLS, where rubbish meets OpenSSL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from socks6.dtls import (
    DTLSDoor,
    DTLSFailed,
    clientConversation,
    encryptedRecords,
    helloIn,
    isApplicationData,
    newContext,
)
from tests.dtls import ADDRESS
from tests.fuzz.reading import Reader
from tests.fuzz.wire import Target

DOOR = DTLSDoor(newContext())
CLIENT = newContext()


def _datagrams(octets: bytes) -> Iterator[bytes]:
    """
    Divide octets into datagrams, each with two octets for its length in front.
    """
    reader = Reader(octets)
    while reader.left:
        yield reader.take(int.from_bytes(reader.take(2), "big") % 17000)


def hello() -> bytes:
    """
    Make what an honest client begins with.
    """
    honest = clientConversation(CLIENT)
    honest.start()
    (hello,) = honest.outgoing()
    return hello


def door(octets: bytes) -> None:
    """
    Nobody gets in without a cookie, and rubbish is in nobody else's way.
    """
    for datagram in _datagrams(octets):
        conversation, answer = DOOR.knock(ADDRESS, datagram)
        assert conversation is None, "a cookie was guessed"
        assert len(answer) <= max(100, len(datagram)), "it makes attacks stronger"
        assert encryptedRecords(datagram) <= len(datagram)
        helloIn(datagram)
        isApplicationData(datagram)
    conversation, answer = DOOR.knock(ADDRESS, hello())
    assert conversation is None
    assert answer, "an honest client gets no cookie"


def side(octets: bytes) -> None:
    """
    A client to whom anybody sends anything fails in no other way than it says.
    """
    conversation = clientConversation(CLIENT)
    try:
        conversation.start()
        for datagram in _datagrams(octets):
            list(conversation.receive(datagram))
            for sent in conversation.outgoing():
                assert sent
    except DTLSFailed:
        pass
    assert not conversation.isEstablished
    conversation.close()


TARGETS: Mapping[str, Target] = {"dtlsdoor": door, "dtlsclient": side}

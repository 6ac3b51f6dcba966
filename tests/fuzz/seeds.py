"""
Where fuzzing begins: inputs that are right, or almost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fuzz.dtls import hello
from tests.machine import samples, socks5drivers
from tests.wire import test_http, test_socks4, test_socks5
from tests.wire.draft06 import golden
from tests.wire.spelling import Golden

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "draft06.json"

#: Kind of vector -> the target that reads it.
KINDS = {
    "request": "request",
    "op_reply": "operationreply",
    "auth_reply": "authenticationreply",
    "option": "options",
    "udp_datagram": "datagram",
    "udp_assoc_init": "association",
    "userpass_request": "password",
    "userpass_reply": "password",
}

PROXIED = (
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    b"CONNECT [2001:db8::1]:443 HTTP/1.0\r\nProxy-Authorization: Basic YWRhOnMzY3JldA==\r\n\r\n",
    b"GET http://u@example.com:8080/a?b HTTP/1.1\r\nHost: x\r\nTE: a\r\nConnection: te, x\r\n\r\n",
    b"OPTIONS http://192.0.2.1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST HTTP://a:/ HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\n",
)


def _vectors(target: str) -> list[bytes]:
    """
    Find the test vectors that a target reads.
    """
    vectors = json.loads(VECTORS.read_text("utf-8"))
    return [bytes.fromhex(each["hex"]) for each in vectors if KINDS.get(each["message"]) == target]


def _golden(goldens: Sequence[Golden], name: str) -> list[bytes]:
    """
    Find the messages of a kind.
    """
    return [each.octets for each in goldens if each.spelling.name == name]


def _chosen(streams: Sequence[bytes], choices: int) -> list[bytes]:
    """
    Put in front of each stream what chooses who answers, and where to cut.
    """
    return [bytes([choice, 3, 2, 1]) + stream for stream in streams for choice in range(choices)]


def _fed(stream: bytes) -> bytes:
    """
    Make the operations that feed a stream.
    """
    return b"".join(
        bytes([0, len(stream[place : place + 63])]) + stream[place : place + 63]
        for place in range(0, len(stream), 63)
    )


def seeds() -> Mapping[str, list[bytes]]:
    """
    Make them, for each target that has some.
    """
    said = samples.OCTETS
    requests = [said[samples.PLAIN], said[samples.OFFERING] + said[samples.CREDENTIALS] + b"data"]
    binds = [golden.GOLDENS[1].octets, golden.GOLDENS[2].octets]
    replies = [
        said[samples.ACCEPTED] + said[samples.SUCCEEDED] * 2 + b"data",
        said[samples.ACCEPTED] + said[samples.SUCCEEDED] + b"\1\2\3\4\0",
        said[samples.DEMAND] + said[samples.RIGHT] + said[samples.CONFIRMED] + said[samples.FAILED],
        said[samples.REFUSED],
    ]
    socks5 = socks5drivers.OCTETS
    offers = [
        socks5drivers.OFFER_BOTH + socks5drivers.CREDENTIALS + socks5[socks5drivers.BIND],
        socks5drivers.OFFER_NOTHING + socks5[socks5drivers.CONNECT] + b"data",
    ]
    answers = [
        socks5drivers.CHOOSE_PASSWORD + socks5drivers.RIGHT + socks5[socks5drivers.SUCCEEDED] * 2,
        socks5drivers.CHOOSE_NOTHING + socks5[socks5drivers.FAILED],
    ]
    letter = hello()
    framed = len(letter).to_bytes(2, "big") + letter
    fives, fours = test_socks5.GOLDENS, test_socks4.GOLDENS
    return {
        **{name: _vectors(name) for name in set(KINDS.values())},
        "socks4request": _golden(fours, "request"),
        "socks4reply": _golden(fours, "reply"),
        "socks5request": _golden(fives, "request"),
        "socks5reply": _golden(fives, "reply"),
        "socks5methods": [each.octets for each in fives[:4]],
        "http": [each.octets for each in test_http.GOLDENS],
        "httpproxy": list(PROXIED),
        "server": _chosen(requests + binds, 7),
        "client": _chosen(replies, 5),
        "socks5server": _chosen(offers, 5),
        "socks5client": _chosen(answers, 12),
        "servercalls": [_fed(each) + bytes([4, 10, 3]) for each in requests + binds],
        "clientcalls": [bytes([4]) + _fed(each) + b"\3" for each in replies],
        "socks5calls": [b"\0" + _fed(each) for each in offers]
        + [b"\1\0\4" + _fed(each) for each in answers],
        "tokens": [bytes([0, 9, 255, 255, 255, 250]) + bytes([0, 64, 0, 71, 0, 65]) * 5],
        "dtlsdoor": [framed, framed * 2],
        "dtlsclient": [framed],
    }

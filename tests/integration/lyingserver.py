"""
A name server that lies: C{python -m tests.integration.lyingserver}, where nobody else has
port 53 of 127.0.0.1.

Its answers are rubbish, answers to other questions, cut off, loops of names, the address
0.0.0.0, and nothing at all, in turns.
"""

from __future__ import annotations

import itertools
import os
import socket

from tests.integration.nameserver import say


def answers(question: bytes) -> list[bytes]:
    """
    Make all the lies about a question.
    """
    head = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    asked = question[12:]
    # Where the question's name stands.
    name = b"\xc0\x0c"
    record = name + b"\0\1\0\1\0\0\0\x3c\0\4"
    return [
        os.urandom(64),
        question[:2] + os.urandom(64),
        os.urandom(2) + head[2:] + asked + record + b"\x7f\0\0\1",
        head + asked + record + bytes(4),
        (head + asked + record)[:-7],
        head + asked + name + b"\0\5\0\1\0\0\0\x3c\0\2" + name,
        head + asked + b"\xc0\xff" * 20,
        b"",
    ]


def main() -> None:
    """
    Lie for ever.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 53))
    say("listening")
    for turn in itertools.count():
        question, peer = sock.recvfrom(65536)
        lies = answers(question)
        sock.sendto(lies[turn % len(lies)], peer)


if __name__ == "__main__":
    main()

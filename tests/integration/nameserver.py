"""
A name server that knows no names, and writes down who asks: C{python -m
tests.integration.nameserver}, where nobody else has port 53.

It writes a line when it listens, and one for every question, by UDP or TCP.
"""

from __future__ import annotations

import select
import socket
import sys


def say(text: str) -> None:
    """
    Write a line.
    """
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """
    Answer questions for ever.
    """
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", 53))
    tcp = socket.create_server(
        ("::", 53), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=False
    )
    say("listening")
    while True:
        for sock in select.select([udp, tcp], [], [])[0]:
            if sock is tcp:
                client, _ = tcp.accept()
                client.close()
                say("question by TCP")
            else:
                question, peer = udp.recvfrom(65536)
                say(f"question {question[12:]!r}")
                # The same, as an answer: there is no such name.
                udp.sendto(question[:2] + b"\x81\x83" + question[4:], peer)


if __name__ == "__main__":
    main()

"""
Check the SOCKS 6 that is installed beside the Python that runs this.

To be run in a folder outside of any checkout.  Starts C{twistd socks6} there,
sends it a NOOP request, and parses an endpoint string.
"""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString

import socks6

#: version:2 command:1 port:2 address type:1 address:4 options length:2
NOOP_REQUEST = bytes.fromhex("0600 00 0000 01 00000000 0000")

#: version:2 type:1 method:1 options length:2, then
#: reply code:1 port:2 address type:1 address:4 options length:2
NOOP_REPLIES = bytes.fromhex("0600 00 00 0000" + "00 0000 01 00000000 0000")

#: Seconds that the proxy may take to start, to answer, and to stop.
PATIENCE = 30.0


def freePort() -> int:
    """
    Find a TCP port of the loopback address that nobody listens on.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def ask(port: int, twistd: "subprocess.Popen[bytes]") -> bytes:
    """
    Send the NOOP request as soon as the proxy listens.

    @return: All octets that it answers until it closes the connection.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            break
        except ConnectionRefusedError:
            if twistd.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with connection:
        connection.sendall(NOOP_REQUEST)
        answer = b""
        while octets := connection.recv(4096):
            answer += octets
        return answer


def main() -> None:
    """
    Run all checks; the first that fails ends the program.
    """
    binaries = Path(sys.executable).parent
    installed = Path(socks6.__file__)
    if Path(sys.prefix) not in installed.parents:
        sys.exit(f"socks6 was imported from elsewhere: {installed}")
    if not (installed.parent / "py.typed").exists():
        sys.exit("py.typed is missing")

    endpoint = clientFromString(reactor, "socks6:example.org:443:proxy=tcp\\:127.0.0.1\\:1080")
    print("endpoint string:", type(endpoint).__qualname__)

    port = freePort()
    twistd = subprocess.Popen(
        [binaries / "twistd", "-n", "--pidfile=", "socks6", "--port", str(port)]
    )
    try:
        answer = ask(port, twistd)
    finally:
        twistd.terminate()
        status = twistd.wait(PATIENCE)
    if answer != NOOP_REPLIES:
        sys.exit(f"NOOP was answered with {answer.hex()}, not {NOOP_REPLIES.hex()}")
    # twistd shuts down in order, and then dies of the signal after all.
    if status not in (0, -signal.SIGTERM):
        sys.exit(f"twistd ended with status {status}")
    left = sorted(path.name for path in Path().iterdir())
    if left:
        sys.exit(f"twistd left files behind: {left}")
    print("NOOP:", answer.hex())


if __name__ == "__main__":
    main()

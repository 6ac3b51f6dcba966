"""
Tests for the files in C{docs/systemd}.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from socks6.workers.supervisor import PATIENCE
from tests.integration import requireProgram
from tests.integration.certificates import Authority
from tests.integration.peers import (
    DEADLINE,
    NOOP,
    REFUSED,
    ask,
    dial,
    encodePassword,
    encodeRequest,
    receiveAll,
)
from tests.integration.sharing import SessionCase
from tests.integration.twistd import CHECKOUT, TWISTD, Twistd

FOLDER = CHECKOUT / "docs" / "systemd"

#: Opens the sockets of C{HOST:PORT} arguments up to C{--}, each with another port, as systemd
#: does, and becomes the program behind that.
_LIKE_SYSTEMD = """
import os, socket, sys
end = sys.argv.index("--")
listeners = []
for place in sys.argv[1:end]:
    host = place.rpartition(":")[0]
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    isBoth = family == socket.AF_INET6
    listeners.append(
        socket.create_server((host.strip("[]"), 0), family=family, dualstack_ipv6=isBoth)
    )
# First out of the way, as one may be where another one has to be.
descriptors = [os.dup(os.dup(each.fileno())) for each in listeners]
for number, descriptor in enumerate(descriptors, 3):
    os.dup2(descriptor, number)
    os.set_inheritable(number, True)
names = ":".join(["socks6.socket"] * len(listeners))
count = str(len(listeners))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
"""


def settings(name: str) -> dict[str, list[str]]:
    """
    Read what a file of systemd's sets, whatever the section.
    """
    found: dict[str, list[str]] = {}
    for line in (FOLDER / name).read_text("utf-8").splitlines():
        key, isSetting, value = line.partition("=")
        if isSetting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


class SystemdTests(SessionCase):
    """
    The files do what they are for.
    """

    def test_serves(self) -> None:
        """
        The service's command, with the options that are there for it and the sockets that
        systemd would open, serves users with a password, with TLS and without.
        """
        folder = self.folder()
        authority = Authority(folder)
        server = authority.server().path.read_bytes()
        (folder / "passwords").write_bytes(b"ada:s3cret\n")
        (folder / "certificate").write_bytes(server)
        (folder / "private-key").write_bytes(server)
        text = (FOLDER / "socks6.toml").read_text("utf-8")
        for place in ("/run/credentials/socks6.service", "/var/lib/socks6"):
            self.assertIn(place, text)
            text = text.replace(place, str(folder))
        configuration = folder / "socks6.toml"
        configuration.write_text(text, "utf-8")
        (command,) = settings("socks6.service")["ExecStart"]
        command = command.replace("/etc/socks6/socks6.toml", str(configuration))
        program, *arguments = shlex.split(command)
        self.assertEqual(Path(program).name, "twistd")
        at = arguments.index("socks6")
        sockets = settings("socks6.socket")["ListenStream"]
        twistd = Twistd(
            self,
            *arguments[at + 1 :],
            prefix=[sys.executable, "-c", _LIKE_SYSTEMD, *sockets, "--"],
            runner=[*TWISTD[:3], *arguments[:at]],
        )
        twistd.waitFor(
            lambda: twistd.output().count(" starting on ") == len(sockets), "it does not listen"
        )
        plain, encrypted = twistd.places()
        request = encodeRequest("0.0.0.0", 0, encodePassword(b"ada", b"s3cret"), NOOP)
        with dial(plain) as client:
            self.assertEqual(ask(client, request).code, 0)
        context = authority.clientContext()
        with context.wrap_socket(dial(encrypted), server_hostname="localhost") as client:
            self.assertEqual(ask(client, request).code, 0)
        wrong = encodeRequest("0.0.0.0", 0, encodePassword(b"ada", b"guessed"), NOOP)
        with dial(plain) as client:
            client.sendall(wrong)
            self.assertEqual(receiveAll(client), REFUSED)

    def test_credentials(self) -> None:
        """
        The options name the credentials that the service has, and no others.
        """
        text = (FOLDER / "socks6.toml").read_text("utf-8")
        named = re.findall(r"/run/credentials/socks6\.service/([a-z-]+)", text)
        loaded = [each.partition(":")[0] for each in settings("socks6.service")["LoadCredential"]]
        self.assertEqual(sorted(named), sorted(loaded))

    def test_times(self) -> None:
        """
        The service has more time to stop than the tunnels' 30 seconds and the 10 of its
        workers; and it reloads by the signal that it listens to.
        """
        service = settings("socks6.service")
        self.assertGreater(int(service["TimeoutStopSec"][0]), 30 + PATIENCE)
        self.assertEqual(service["ExecReload"], ["/bin/kill -HUP $MAINPID"])

    def test_verified(self) -> None:
        """
        systemd finds no mistake in the files, and nothing to say against how the service is
        shut in.
        """
        program = requireProgram(self, "systemd-analyze")
        folder = self.folder()
        for path in FOLDER.glob("socks6.s*"):
            # Nothing is installed where the service expects it.
            text = path.read_text("utf-8").replace("/opt/socks6/bin/twistd", sys.executable)
            (folder / path.name).write_text(text, "utf-8")
        service, port = (str(folder / f"socks6.{kind}") for kind in ("service", "socket"))
        for arguments in (
            ["verify", "--man=no", service, port],
            ["security", "--offline=true", "--threshold=20", service],
        ):
            ended = subprocess.run(
                [program, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            self.assertEqual(ended.returncode, 0, ended.stdout)
            if arguments[0] == "verify":
                self.assertEqual(ended.stdout, "")

"""
Tests of L{socks6.policy.stores.redis.server}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.stores.redis import server
from socks6.policy.stores.redis.server import MAX_SOCKET_PATH, redisServer
from socks6.policy.stores.strings import storeFromString
from tests.doubles import Network
from tests.integration.certificates import Authority
from tests.raising import errorOf

#: A password with what must be escaped, and as it is written.
PASSWORD = b"se:s@a/m?e#%\xff\r\n"
ESCAPED = "se%3As%40a%2fm%3Fe%23%25%ff%0D%0A"


class RedisServerTests(SynchronousTestCase):
    """
    Where the server is, and as whom we log in.
    """

    def test_forms(self) -> None:
        """
        What may be left out has a default; what is escaped is what it stands for.
        """
        for description, name, database, username, password in (
            ("redis://localhost", "redis://localhost:6379/0", 0, None, None),
            ("redis://localhost/", "redis://localhost:6379/0", 0, None, None),
            ("redis://192.0.2.1:1/15", "redis://192.0.2.1:1/15", 15, None, None),
            ("redis://a-b.c_d.:65535", "redis://a-b.c_d.:65535/0", 0, None, None),
            ("redis://[::1]:7/2", "redis://[::1]:7/2", 2, None, None),
            ("redis://[2001:DB8:0::1]", "redis://[2001:db8::1]:6379/0", 0, None, None),
            ("redis://[fe80::1%eth0]", "redis://[fe80::1%eth0]:6379/0", 0, None, None),
            (f"redis://:{ESCAPED}@h", "redis://h:6379/0", 0, None, PASSWORD),
            (f"redis://{ESCAPED}:x@h:1/3", "redis://h:1/3", 3, PASSWORD, b"x"),
            ("rediss://ann:x@h", "rediss://h:6379/0", 0, b"ann", b"x"),
            ("redis://zo\xeb:\xfc@h", "redis://h:6379/0", 0, b"zo\xc3\xab", b"\xc3\xbc"),
        ):
            server = redisServer(description)
            self.assertEqual(
                (server.name, server.database, server.username, server.password),
                (name, database, username, password),
                description,
            )

    def test_unix(self) -> None:
        """
        A UNIX socket's path is meant from where we are now.
        """
        for description, path, database, username, password in (
            ("unix:/run/redis.sock", "/run/redis.sock", 0, None, None),
            ("unix:redis.sock", f"{os.getcwd()}/redis.sock", 0, None, None),
            ("unix:/r?db=5", "/r", 5, None, None),
            (f"unix:/r?password={ESCAPED}", "/r", 0, None, PASSWORD),
            (f"unix:/r?username={ESCAPED}&db=1&password=x", "/r", 1, PASSWORD, b"x"),
        ):
            server = redisServer(description)
            self.assertEqual(
                (server.name, server.database, server.username, server.password),
                (f"unix:{path}", database, username, password),
                description,
            )

    def test_endpoints(self) -> None:
        """
        We go to where the server is.
        """
        network = Network()
        for description, place in (
            ("redis://localhost", "localhost:6379"),
            ("redis://192.0.2.1:7", "192.0.2.1:7"),
            ("redis://[::1]:8", "[::1]:8"),
        ):
            endpoint = redisServer(description).endpoint(network)
            self.assertEqual(repr(endpoint), f"<HostnameEndpoint {place}>")
        for description, port in (("rediss://localhost", 6379), ("rediss://[::1]:9", 9)):
            store = storeFromString(description)(network)
            store.start()
            self.assertEqual(network.tcpClients.pop()[1], port)
            store.close()
        store = storeFromString("unix:/run/redis.sock")(network)
        store.start()
        self.assertEqual(network.unixClients.pop()[0], "/run/redis.sock")
        store.close()

    def test_mistakes(self) -> None:
        """
        A mistake is one line that tells what to mend, and nothing of a password.
        """
        form = (
            "is not of the form redis://[[USER]:PASSWORD@]HOST[:PORT][/DB];"
            " special characters in user and password are written as % and two digits"
        )
        host = "the host is no name or address in ASCII"
        port = "the port is not a number from 1 to 65535"
        database = f"the database is not a number from 0 to {2**31 - 1}"
        nothing = "behind the ? there may be nothing"
        path = f"unix: needs a path of at most {MAX_SOCKET_PATH} octets"
        query = "behind the ? there may be db=... and username=... and password=..., once each"
        for description, words in (
            ("redis", form),
            ("redis:", form),
            ("redis:localhost", form),
            ("redis:/localhost", form),
            ("redis://sesame@localhost", form),
            ("redis://:ses@me@localhost", form),
            ("redis://:ses:ame@localhost", form),
            ("redis://:ses/ame@localhost", form),
            ("redis://:ses?ame@localhost", form),
            ("redis://:ses#ame@localhost", form),
            ("redis://:ses%ame@localhost", form),
            ("redis://:ses%2@localhost", form),
            ("redis://:sesame@local[host", form),
            ("redis://:sesame@[::1", form),
            ("redis://localhost/1/2", form),
            ("redis://localhost#sesame", form),
            ("redis://localhost\n", host),
            ("redis://", host),
            ("redis://:sesame@", host),
            ("redis:///1", host),
            ("redis://a..b", host),
            ("redis://.", host),
            ("redis://" + "a" * 64, host),
            ("redis://" + ".".join(["abcd"] * 51), host),
            ("redis://b\xfccher", host),
            ("redis://a b", host),
            ("redis://[sesame]", "no IPv6 address between the brackets"),
            ("redis://[192.0.2.1]", "no IPv6 address between the brackets"),
            ("redis://localhost:", port),
            ("redis://localhost:0", port),
            ("redis://localhost:65536", port),
            ("redis://localhost:sesame", port),
            ("redis://localhost:-1", port),
            ("redis://localhost:\xb2", port),
            ("redis://localhost:" + "9" * 5000, port),
            ("redis://localhost/x", database),
            ("redis://localhost/-1", database),
            ("redis://localhost/2147483648", database),
            ("redis://ann:@localhost", "there is no password"),
            ("redis://:@localhost", "there is no password"),
            ("redis://localhost?db=sesame", nothing),
            ("redis://localhost?ca=/etc/ssl/sesame", nothing),
            ("rediss://a_b", "no certificate can be for that host"),
            ("rediss://localhost?sesame", "behind the ? there may be ca=..., once each"),
            ("rediss://localhost?ca=", "behind the ? there may be ca=..., once each"),
            ("rediss://localhost?ca=/a&ca=/b", "behind the ? there may be ca=..., once each"),
            ("unix:", path),
            ("unix:?db=1", path),
            ("unix:/" + "x" * MAX_SOCKET_PATH, path),
            ("unix:/r?sesame", query),
            ("unix:/r?db=1&db=1", query),
            ("unix:/r?db=sesame", database),
            ("unix:/r?username=sesame", "there is no password"),
        ):
            message = str(errorOf(ValueError, storeFromString, description))
            self.assertIn(message, (f"--sessions {words}", f"--sessions: {words}"), description)

    def test_secrets(self) -> None:
        """
        Nothing shows the password by accident.
        """
        server = redisServer("redis://ann:sesame@localhost")
        self.assertNotIn("sesame", repr(server))

    def test_longestPath(self) -> None:
        """
        A path may be as long as the system allows.
        """
        path = "/" + "x" * (MAX_SOCKET_PATH - 1)
        self.assertEqual(redisServer(f"unix:{path}").name, f"unix:{path}")

    def test_authorities(self) -> None:
        """
        The certificates that we are to trust are read at once.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        authorities = [Authority(folder, "a"), Authority(folder, "b")]
        file = folder / "both & more"
        file.write_bytes(b"".join(each.path.read_bytes() for each in authorities))
        escaped = str(file).replace(" ", "%20").replace("&", "%26")
        redisServer(f"rediss://localhost?ca={escaped}")
        empty = folder / "empty"
        empty.write_text("nothing", "ascii")
        for path, words in (
            (folder / "none", "No such file or directory"),
            (folder, "Is a directory"),
            (empty, "no certificate in PEM form"),
        ):
            message = str(errorOf(ValueError, redisServer, f"rediss://localhost?ca={path}"))
            self.assertEqual(message, f"--sessions: {path}: {words}")

    def test_missingLibrary(self) -> None:
        """
        Without txredisapi there is a hint how to get it, and nothing is imported.
        """
        asked: list[str] = []
        self.patch(server, "find_spec", asked.append)
        for description in ("redis://localhost", "unix:/run/redis.sock"):
            message = str(errorOf(ValueError, storeFromString, description))
            self.assertIn("pip install 'socks6[redis]'", message)
        self.assertEqual(asked, ["txredisapi"] * 2)

"""
Tests for the local proxifier with a browser.
"""

from __future__ import annotations

import struct
import zlib

from tests.integration import requireProgram
from tests.integration.chain import ChainTestCase, portOf
from tests.integration.programs import run
from tests.integration.socks5server import SOCKS5Server
from tests.integration.twistd import Twistd
from tests.integration.webserver import WebServer

#: How many pictures the page has, and how wide each is.
PICTURES, WIDTH = 12, 300

PAGE = """
<!DOCTYPE html>
<title>Pictures</title>
<script>
addEventListener("load", () => {{
    const shown = [...document.images].filter(image => image.naturalWidth === {width});
    document.body.append(`${{shown.length}} pictures are shown`);
}});
</script>
<body>{pictures}</body>
"""

#: For use without a screen, by anybody.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def picture(shade: int) -> bytes:
    """
    Paint a square picture, in the PNG format.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", checksum)

    # Eight bits of grey; each line begins with the number of its filter.
    header = struct.pack("!IIBBBBB", WIDTH, WIDTH, 8, 0, 0, 0, 0)
    lines = (b"\0" + bytes([shade]) * WIDTH) * WIDTH
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 0)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class ChromiumTests(ChainTestCase):
    """
    Chromium shows a page with pictures.
    """

    def setUp(self) -> None:
        super().setUp()
        self.program = requireProgram(self, "chromium")
        self.server = WebServer(self)
        targets = [f"/{number}.png" for number in range(PICTURES)]
        for number, target in enumerate(targets):
            self.server.pages[target] = picture(number), "image/png"
        pictures = "".join(f'<img src="{target}">' for target in targets)
        page = PAGE.format(width=WIDTH, pictures=pictures).encode("ascii")
        self.server.pages["/page"] = page, "text/html"
        self.expected = {"/page", *targets}

    def show(self, url: str, *flags: str) -> None:
        """
        Let Chromium show the page.
        """
        folder = str(self.folder())
        arguments = [*FLAGS, f"--user-data-dir={folder}", *flags, "--dump-dom", url]
        # Its own dialogues and caches belong there as well.
        shown = run(self.program, *arguments, variables={"HOME": folder})
        self.assertEqual(shown.returncode, 0, shown.stderr.decode())
        self.assertIn(f"{PICTURES} pictures are shown", shown.stdout.decode())
        # It asks for an icon, too, as browsers do.
        visited = {visit.target for visit in self.server.visits}
        self.assertEqual(visited - {"/favicon.ico"}, self.expected)
        self.server.visits.clear()

    def test_page(self) -> None:
        """
        By SOCKS 5 and by HTTP, on a host whose name nobody knows but the very last
        proxy; and on that proxy's "localhost", which a browser would find by itself.
        """
        names = ("pictures.example", "localhost")
        # To it, there are no other hosts; Chromium will not be kept from looking for
        # its maker's.
        upstream = SOCKS5Server(self, dict.fromkeys(names, self.server.place))
        host, port = upstream.place
        proxy = Twistd(self, "--port=0", f"--outbound=socks5:{host}:{port}")
        local = self.startChain(proxy=proxy)
        for scheme, name in [("socks5", names[0]), ("http", names[0]), ("socks5", names[1])]:
            upstream.errands.clear()
            self.show(
                f"http://{name}/page",
                f"--proxy-server={scheme}://127.0.0.1:{portOf(local)}",
                "--proxy-bypass-list=<-loopback>",
            )
            self.assertIn((name, 80), {(errand.host, errand.port) for errand in upstream.errands})

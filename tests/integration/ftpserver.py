"""
C{vsftpd}, for whoever comes.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.inetd import ProcessServer

#: Active mode only, to whichever port above 1023 of the client's own host.
CONFIGURATION = """
listen=NO
run_as_launching_user=YES
anonymous_enable=YES
no_anon_password=YES
anon_root={folder}/files
write_enable=YES
anon_upload_enable=YES
anon_umask=022
anon_world_readable_only=NO
pasv_enable=NO
port_enable=YES
connect_from_port_20=NO
seccomp_sandbox=NO
"""


class FTPServer(ProcessServer):
    """
    The server, with a process for each connection.

    @ivar files: The folder that it serves; C{incoming} can be written to.
    """

    def __init__(self, testCase: TestCase, host: str = "127.0.0.1") -> None:
        program = requireProgram(testCase, "vsftpd")
        folder = TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self.files = Path(folder.name) / "files"
        (self.files / "incoming").mkdir(parents=True)
        # It refuses to serve a folder that its users could replace.
        self.files.chmod(0o555)
        testCase.addCleanup(self.files.chmod, 0o755)
        configuration = Path(folder.name) / "configuration"
        configuration.write_text(CONFIGURATION.format(folder=folder.name), "ascii")
        super().__init__(testCase, [program, str(configuration)], host)

"""
What Twisted finds of this package: C{twistd socks6}, C{twistd socks6-local}, the
C{socks6:} endpoint strings and C{--auth htpasswd:}.

Nothing here may import the reactor, or C{twistd --reactor} breaks.
"""

from pathlib import Path

from twisted.application.service import ServiceMaker
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

from socks6.client.parsers import SOCKS6ClientParser, SOCKS6ServerParser


@implementer(ICheckerFactory, IPlugin)
class HtpasswdCheckerFactory:
    """
    Makes checkers that know the users of a file.
    """

    authType = "htpasswd"
    authHelp = """
A file of lines of the form 'name:hash', as 'htpasswd -B' writes them.  The hashes are
of bcrypt or argon2; all others are refused.
"""
    argStringFormat = "Location of a file that htpasswd -B has written."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argstring: str) -> ICredentialsChecker:
        """
        Make a checker.

        @param argstring: Names the file.
        @raise ValueError: It names none.
        @raise UsageError: The file cannot be used.
        """
        # Whoever wants none of it shall not pay for it.
        from socks6.tap.passwords import checkerOf

        if not argstring:
            raise ValueError("'htpasswd' requires a filename")
        return checkerOf(Path(argstring).absolute())


socks6Proxy = ServiceMaker("SOCKS 6 proxy", "socks6.tap", "A SOCKS 6 proxy (draft -06).", "socks6")
socks6Local = ServiceMaker(
    "SOCKS 6 local proxy",
    "socks6.tap.local",
    "A SOCKS 4, SOCKS 5 and HTTP proxy in front of a SOCKS 6 proxy.",
    "socks6-local",
)
socks6Client = SOCKS6ClientParser()
socks6Server = SOCKS6ServerParser()
htpasswd = HtpasswdCheckerFactory()

"""
The options of C{twistd socks6} that are about the operator's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress
from twisted.python.usage import UsageError

from socks6.admin.guard import AdminPassword, passwordIn
from socks6.admin.service import adminService, adminSite
from socks6.listening import NotedEndpoint, endpointDescription, listensLocally
from socks6.policy.sessions import SessionService
from socks6.serving.factory import ServingFactory


class AdminOptions(dict[str, Any]):
    """
    A part of a command line's options.

    @ivar adminNames: What the page may be called.
    @ivar adminPassword: Knows its password, if it has one, once there is the page; can read
        it again.
    """

    parameters: Sequence[Sequence[Any]] = [
        ["admin", None, None, "Port, or endpoint string, of a page that shows what happens."],
        ["admin-password-file", None, None, "File whose first line is that page's password."],
    ]

    def __init__(self) -> None:
        """
        Begin with no names.
        """
        super().__init__()
        self.adminNames: list[str] = []
        self.adminPassword: AdminPassword | None = None
        self._password: tuple[Path, bytes] | None = None

    def opt_admin_host(self, name: str) -> None:
        """
        What that page may be called beside localhost and an address; repeatable.
        """
        self.adminNames.append(name.lower())

    def checkAdmin(self, areMany: bool) -> None:
        """
        Check that not everybody can see the page.

        @param areMany: Whether several processes serve.
        @raise UsageError: Everybody can, or the options make no sense.
        """
        file = self["admin-password-file"]
        if self["admin"] is None:
            for option, value in (("admin-password-file", file), ("admin-host", self.adminNames)):
                if value:
                    raise UsageError(f"--{option} needs --admin")
            return
        if areMany:
            raise UsageError("--admin is not for several --workers: each knows its own tunnels")
        self["admin"] = endpointDescription(self["admin"])
        if file is not None:
            # twistd goes elsewhere, and may be somebody else, before it is read again.
            path = Path(file).absolute()
            try:
                self._password = path, passwordIn(path)
            except OSError as error:
                raise UsageError(f"--admin-password-file {file}: {error.strerror}") from error
            except ValueError as error:
                raise UsageError(f"--admin-password-file {file}: {error}") from error
        if not listensLocally(self["admin"]) and self._password is None:
            raise UsageError(
                f"--admin {self['admin']} can be reached from other machines: add"
                " --admin-password-file"
            )

    def adminPage(
        self,
        reactor: Any,
        factory: ServingFactory,
        sessions: SessionService,
        places: list[IAddress],
    ) -> IService | None:
        """
        Make the service of the page.

        @param places: Gets the address where it is, once that is known.
        @return: L{None}: there is to be none.
        """
        if self["admin"] is None:
            return None
        if self._password is not None:
            self.adminPassword = AdminPassword(reactor, *self._password)
        site = adminSite(reactor, factory, sessions, self.adminNames, self.adminPassword)
        endpoint = NotedEndpoint(serverFromString(reactor, self["admin"]), places)
        service: IService = adminService(site, endpoint)
        return service

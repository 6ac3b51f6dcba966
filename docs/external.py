"""
Links from our API pages to those of Twisted and the standard library.

pydoctor would fetch an inventory of each project's pages to tell a good link
from a bad one.  We ask the installed packages themselves: what can be imported
can be linked to.  So the build needs no network and still finds misspelt names.
"""

import builtins
import sys
from functools import cache
from importlib import import_module
from types import ModuleType

from pydoctor.model import System
from pydoctor.options import Options
from pydoctor.sphinx import SphinxInventory
from zope.interface.interface import InterfaceClass

_PYTHON = "https://docs.python.org/3/library/"
_TWISTED = "https://docs.twisted.org/en/stable/api/"

#: Packages whose pages are not laid out by name: one page has to do.
_PAGES = {
    "OpenSSL": "https://www.pyopenssl.org/en/stable/api.html",
    "service_identity": "https://service-identity.readthedocs.io/en/stable/api.html",
    "treq": "https://treq.readthedocs.io/en/latest/api.html",
    "zope": "https://zopeinterface.readthedocs.io/en/latest/api/",
}


def _import(parts: list[str]) -> ModuleType | None:
    """
    Import a module.

    @return: The module; L{None} if what has this name is not one.
    """
    try:
        return import_module(".".join(parts))
    except ModuleNotFoundError:
        return None


def _find(name: str) -> tuple[str, list[object]] | None:
    """
    Import what a full name means.

    @param name: The name; its first part is a module.

    @return: The name of the innermost module, and the objects that the rest
        of the name leads through; L{None} if it leads nowhere.
    """
    parts = name.split(".")
    depth = len(parts)
    module = _import(parts)
    while module is None:
        depth -= 1
        module = _import(parts[:depth])
    objects: list[object] = []
    found: object = module
    for part in parts[depth:]:
        # What an interface declares is an item of it, not an attribute.
        if isinstance(found, InterfaceClass) and part in found:
            found = found[part]
        elif hasattr(found, part):
            found = getattr(found, part)
        else:
            return None
        objects.append(found)
    return ".".join(parts[:depth]), objects


@cache
def linkTo(name: str) -> str | None:
    """
    Find the page that describes a name of another project.

    @param name: A full name, such as C{twisted.internet.defer.Deferred}.
    @return: The page's address; L{None} if there is no such thing.
    """
    if "." not in name and hasattr(builtins, name):
        kind = getattr(builtins, name)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return f"{_PYTHON}exceptions.html#{name}"
        page = "stdtypes" if isinstance(kind, type) else "functions"
        return f"{_PYTHON}{page}.html#{name}"

    root = name.partition(".")[0]
    if root not in {"twisted", *_PAGES, *sys.stdlib_module_names}:
        return None
    found = _find(name)
    if found is None:
        return None
    module, objects = found
    if root in _PAGES:
        return _PAGES[root]
    if root != "twisted":
        return f"{_PYTHON}{module}.html#{name}"
    # A page for each module and each class; a last part that is neither is an
    # anchor on the page of what it belongs to.
    if not objects or isinstance(objects[-1], type | InterfaceClass):
        return f"{_TWISTED}{name}.html"
    page, _, anchor = name.rpartition(".")
    return f"{_TWISTED}{page}.html#{anchor}"


class InstalledInventory(SphinxInventory):
    """
    An inventory of everything that is installed here.
    """

    def getLink(self, name: str) -> str | None:
        """
        Find the page that describes a name.

        @see: L{linkTo}
        """
        return linkTo(name)


class CheckingSystem(System):
    """
    pydoctor's model of our code, with the links of L{InstalledInventory}.
    """

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        self.intersphinx = InstalledInventory(logger=self.msg)

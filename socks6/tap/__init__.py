"""
The command line of C{twistd socks6}.
"""

from socks6.tap.options import Options
from socks6.tap.service import makeService

__all__ = ["Options", "makeService"]

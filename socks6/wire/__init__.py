"""
How it is said: values to octets and back.

SOCKS 6 has one folder for each draft.  What programs say to the local proxifier,
and what the proxy says to other proxies, has one module for each protocol: SOCKS 4,
SOCKS 5, HTTP.  They name no draft; what they share with SOCKS 6, addresses and
passwords, stands beside them.

No state, no clock, no randomness.
"""

from __future__ import annotations

from socks6.wire import draft06
from socks6.wire.codec import Codec

#: The spelling of draft -06.
DRAFT_06: Codec = draft06

#: The spelling that is used where the user names none.
DEFAULT_CODEC: Codec = DRAFT_06

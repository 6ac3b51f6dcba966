"""
How it is said: values to octets and back, one folder for each draft.

No state, no clock, no randomness.
"""

from __future__ import annotations

from socks6.wire import draft06
from socks6.wire.codec import Codec

#: The spelling of draft -06.
DRAFT_06: Codec = draft06

#: The spelling that is used where the user names none.
DEFAULT_CODEC: Codec = DRAFT_06

"""
Logins that were right a moment ago.
"""

from __future__ import annotations

import os
from hashlib import blake2b

from twisted.internet.interfaces import IReactorTime

#: Seconds for which a login is remembered.
LIFETIME = 60.0

#: Logins that are remembered; one more, and the oldest one is forgotten.
MAX_LOGINS = 4096


class RememberedLogins:
    """
    Knows digests of logins that were right, with a key that nobody else has.
    """

    def __init__(
        self, clock: IReactorTime, lifetime: float = LIFETIME, maxLogins: int = MAX_LOGINS
    ) -> None:
        """
        @param lifetime: Seconds for which a login is remembered.
        @param maxLogins: How many are.
        """
        self._clock = clock
        self._lifetime = lifetime
        self._maxLogins = maxLogins
        self._key = os.urandom(blake2b.MAX_KEY_SIZE)
        #: Digest -> when it is forgotten; those that are forgotten first come first.
        self._until: dict[bytes, float] = {}

    def digest(self, *parts: bytes) -> bytes:
        """
        Write what makes up a login as 32 octets.
        """
        digest = blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()

    def knows(self, digest: bytes) -> bool:
        """
        Tell whether a login was right a moment ago.
        """
        now = self._clock.seconds()
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now:
                break
            del self._until[oldest]
        return digest in self._until

    def remember(self, digest: bytes) -> None:
        """
        Take note that a login is right.
        """
        self._until.pop(digest, None)
        self._until[digest] = self._clock.seconds() + self._lifetime
        if len(self._until) > self._maxLogins:
            del self._until[next(iter(self._until))]

    def forgetAll(self) -> None:
        """
        Remember nothing any more.
        """
        self._until.clear()

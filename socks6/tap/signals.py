"""
Signals that come while C{twistd} is stopping already.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

_Result = TypeVar("_Result")

#: Those that stop C{twistd}.
_STOPPING = (signal.SIGTERM, signal.SIGINT)


def hearAgain(
    reactor: Any, stopped: Deferred[_Result], hurry: Callable[[], None]
) -> Deferred[_Result]:
    """
    Let whoever is told again to stop hurry.

    The reactor itself would only complain that it is stopping already.

    @param stopped: Fires when it has stopped.
    @param hurry: Is called in the reactor's thread, each time.
    @return: C{stopped}.
    """
    before: dict[signal.Signals, Any] = {}

    def restore(result: _Result) -> _Result:
        for number, handler in before.items():
            signal.signal(number, handler)
        return result

    # Elsewhere than in the main thread nobody hears signals.
    with suppress(ValueError):
        for number in _STOPPING:
            before[number] = signal.signal(number, lambda *_: reactor.callFromThread(hurry))
    return stopped.addBoth(restore)

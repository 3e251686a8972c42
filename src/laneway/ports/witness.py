"""Who follows one request on its way, where anybody does: events, spans, the stream of a caller who asked.

Owns: the two moments that only the rooms inside know. Refuses: any implementation, and to be there for nobody: the
Exchange holds None then, and the rooms ask no more than that.
"""

from __future__ import annotations

from typing import Protocol

from laneway.ports.upstream import Call
from laneway.route import Target


class Witness(Protocol):
    """Never blocks, never raises."""

    def decided(self) -> None:
        """The targets are ranked, and none was called."""

    def calling(self, call: Call, target: Target) -> Call:
        """A provider is about to be called; what was tried before stands on the Exchange. The call, with whatever the
        provider is to be told of the trace it belongs to."""

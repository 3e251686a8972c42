"""A receiver of alerts, as people run them, that writes down what arrives.

Owns: answering with the statuses it was given, the last one again and again. Refuses: to judge a delivery; the
tests read them.
"""

from __future__ import annotations

from tests.fakes.server import Answer, Posted, Server


class Hook(Server):
    """`with Hook() as hook: ... hook.url, hook.deliveries`."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.deliveries: list[Posted] = []
        self._statuses = list(statuses or (200,))

    @property
    def url(self) -> str:
        return self.origin

    def answer(self, posted: Posted) -> Answer:
        self.deliveries.append(posted)
        return Answer(self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0])

"""An Attempt while it is being made.

Owns: the facts that Forward and Relay learn one by one about a call of a target, and turning them into the frozen
Attempt once, with what was used (reported, or counted as it passed) and what that cost.
Refuses: calling anything.
"""

from __future__ import annotations

from laneway.chat import Finish, Usage
from laneway.dialects import View
from laneway.failure import Failure
from laneway.policy.price import cost_nanos, counted_tokens
from laneway.ports import Reply
from laneway.route import Attempt, Target


class Running:
    """Made when an attempt starts; `ended` is asked once."""

    __slots__ = (
        "chars",
        "chunks",
        "finish",
        "first_content_at_s",
        "omitted",
        "recorded",
        "reply",
        "sent",
        "skipped",
        "started_s",
        "status",
        "target",
        "usage",
    )

    def __init__(self, target: Target, now_s: float) -> None:
        self.target = target
        self.started_s = now_s
        self.reply: Reply | None = None
        self.usage = Usage()
        self.chars = 0
        self.chunks = 0
        self.skipped = 0
        self.finish: Finish | None = None
        self.first_content_at_s: float | None = None
        self.omitted: tuple[str, ...] = ()
        self.status = 0
        self.sent = False
        self.recorded = False

    def ended(self, view: View | None, now_s: float, failure: Failure | None) -> Attempt:
        usage, counted = self._used(view, failure)
        price = self.target.price
        first = self.first_content_at_s
        return Attempt(
            target=self.target,
            started_s=self.started_s,
            ended_s=now_s,
            status=self.status,
            failure=failure,
            usage=usage,
            counted=counted,
            finish=self.finish,
            first_content_s=first - self.started_s if first is not None else None,
            chunks=self.chunks,
            skipped_chunks=self.skipped,
            omitted=self.omitted,
            cost_nanos=cost_nanos(usage, price) if price is not None else 0,
            called=self.sent,
        )

    def _used(self, view: View | None, failure: Failure | None) -> tuple[Usage, bool]:
        """What the provider reported; where it did not and something was served, what was counted as it passed."""
        usage = self.usage
        served = failure is None or self.chars > 0
        if not served or (usage.input is not None and usage.output is not None):
            return usage, False
        guess = Usage(
            input=counted_tokens(view.text_chars) if view is not None else None,
            output=counted_tokens(self.chars),
        )
        return guess.merged(usage), True

"""An Attempt while it is being made.

Owns: the facts that Forward and Relay learn one by one about a call of a target, and turning them into the frozen
Attempt once, with what was used (reported, or counted as it passed) and what that cost.
Refuses: calling anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from laneway.chat import Finish, Op, Part, Text, Thinking, ToolCall, Usage
from laneway.dialects import Dialect, View
from laneway.failure import Failure, FailureError
from laneway.policy.price import cost_nanos, filled
from laneway.ports import Reply
from laneway.rescue import Rescue
from laneway.route import Attempt, Target

_NOTHING = Usage()


class Running(msgspec.Struct, eq=False):
    """Made when an attempt starts; `ended` is asked once."""

    target: Target
    started_s: float
    keep_s: float | None = None
    """Where the target's host protects its memory: how long it keeps the model, whatever the caller wishes."""
    rescue: Rescue | None = None
    """The stream it is about, where other attempts may have begun it or may go on with it."""
    resumed: str = ""
    begun_chars: int = 0
    """Of the answer's beginning that it was given as a part of its prompt."""
    reply: Reply | None = None
    usage: Usage = _NOTHING
    chars: int = 0
    chunks: int = 0
    skipped: int = 0
    finish: Finish | None = None
    first_content_at_s: float | None = None
    omitted: tuple[str, ...] = ()
    status: int = 0
    sent: bool = False
    out_of_budget: bool = False
    recorded: bool = False

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
            out_of_budget=self.out_of_budget,
            resumed=self.resumed,
        )

    def _used(self, view: View | None, failure: Failure | None) -> tuple[Usage, bool]:
        """What the provider reported; where it did not and something was served, what was counted as it passed."""
        if not self.sent or (view is not None and view.op is Op.COUNT):
            # Nothing was asked of a model: a count of tokens costs none.
            return _NOTHING, False
        if failure is not None and not self.chars:
            return self.usage, False
        whole = failure is None and not self.out_of_budget
        reported = self.usage
        if whole and reported.input is not None and reported.output is not None:
            return reported, False
        prompt_chars = (view.text_chars if view is not None else 0) + self.begun_chars
        return filled(reported, prompt_chars=prompt_chars, answer_chars=self.chars, whole=whole)


def parts_chars(parts: Sequence[Part]) -> int:
    """How much a whole answer says, where its provider counted no tokens."""
    return sum(
        len(part.arguments) if isinstance(part, ToolCall) else len(part.text)
        for part in parts
        if isinstance(part, Text | Thinking | ToolCall)
    )


def body_chars(speaks: Dialect, op: Op, body: bytes) -> int:
    """The same of a body; all of it where it has no neutral form."""
    try:
        return parts_chars(speaks.read_answer(op, body).parts)
    except FailureError:
        return len(body)

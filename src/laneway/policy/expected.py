"""What a request is likely to cost at a model, before it is made.

Owns: the expectation: the prompt as it is counted, what of it the model's provider has in its cache, and an answer as
long as the model's answers are on the average of this tenant's requests.
Refuses: ceilings (a hold needs those; `price` computes them), and rounding: this number is compared, never charged.
"""

from __future__ import annotations

import msgspec

from laneway.chat import Usage
from laneway.policy.price import cost_nanos, plain_nanos
from laneway.route import Price

USUAL_OUTPUT = 400.0
"""Tokens of an answer, as long as nothing is known of a model."""
PSEUDO_ANSWERS = 2.0


class Habit(msgspec.Struct, frozen=True):
    """How long a model's answers were."""

    answers: int = 0
    output_tokens: int = 0
    expected_output: float = 0.0
    """Made of the two and kept: every request asks for it."""

    def __post_init__(self) -> None:
        expected = (self.output_tokens + PSEUDO_ANSWERS * USUAL_OUTPUT) / (self.answers + PSEUDO_ANSWERS)
        msgspec.structs.force_setattr(self, "expected_output", expected)


NO_HABIT = Habit()


def expected_nanos(
    price: Price | None, input_tokens: int, habit: Habit = NO_HABIT, *, cached: int = 0, max_tokens: int | None = None
) -> float | None:
    """`cached`: tokens of the prompt that this model has read before and its provider still holds; a model that takes
    a conversation over has none, which is what a switch costs. None where there is no price."""
    if price is None:
        return None
    output = habit.expected_output
    if max_tokens is not None and max_tokens < output:
        output = max_tokens
    if not cached and price.above is None:
        return float(plain_nanos(input_tokens, round(output), price))
    usage = Usage(input=input_tokens, output=round(output), cache_read=min(cached, input_tokens))
    return float(cost_nanos(usage, price))

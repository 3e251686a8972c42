"""Where a dial and a floor put a choice, and at which positions of the dial the choice would be another.

Owns: the weight and the handicap that follow from a position and a floor, and the way back from a weight to the
position at which the winner changes. Refuses: the dial's own weights (`dial` spreads them) and choosing.
"""

from __future__ import annotations

from laneway.policy.dial import Dial, Stance, stance_at


def stand(dial: Dial, bias: float | None, usual: float, level: float | None) -> Stance:
    """`bias` is where somebody put the dial; if nobody did, a floor alone decides, and without one `usual` does.

    A floor only ever makes a choice stricter: `level` is the most that it lets costs count.
    """
    if level is None:
        return Stance(dial.weight(usual if bias is None else bias))
    return stance_at(level if bias is None else min(dial.weight(bias), level))


def turns(
    dial: Dial, level: float | None, cheaper_from: float | None, dearer_until: float | None
) -> tuple[float | None, float | None]:
    """The position of the dial from which downwards a cheaper candidate would win, and that from which upwards a dearer
    one would; None where no position changes anything.

    `cheaper_from` and `dearer_until` are the weights at which the winner changes.
    """
    if level is not None and level < 0:
        return None, None
    most = dial.weights[0] if level is None else min(dial.weights[0], level)
    cheaper = dearer = None
    if cheaper_from is not None and cheaper_from <= most:
        cheaper = dial.last_above(cheaper_from)
    if dearer_until is not None and dearer_until > dial.weights[-1]:
        dearer = dial.first_below(dearer_until)
    return cheaper, dearer

"""What every store does to an example before it keeps it, and how it matches one.

Owns: the one order of labels, refusing scores that are none, and the meaning of a filter.
Refuses: tables, and ids; those are each store's own.
"""

from __future__ import annotations

import msgspec

from laneway.ports.examples import Example, Filter

FORGET_S = 7 * 86_400.0
"""How long it is remembered that something was deleted, for processes and snapshots that were away."""


def tidied(example: Example) -> Example:
    """As it is stored: one label for each candidate and source, in their order. Raises ValueError."""
    for label in example.labels:
        if not 0 <= label.score <= 1:
            raise ValueError(f"a score is from 0 to 1, not {label.score}")
    last = {(label.candidate, label.source): label for label in example.labels}
    labels = tuple([last[pair] for pair in sorted(last)])
    return msgspec.structs.replace(example, text=_sayable(example.text), tag=_sayable(example.tag), labels=labels)


def _sayable(text: str) -> str:
    """Lone surrogates have no bytes to be stored as."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def meant(example: Example, where: Filter) -> bool:
    """Whether a filter means this example."""
    return (
        (where.text is None or where.text.casefold() in example.text.casefold())
        and (where.tag is None or example.tag == where.tag)
        and (where.batch is None or example.batch == where.batch)
        and (where.task_id is None or example.task_id == where.task_id)
        and (
            (where.candidate is None and where.source is None)
            or any(
                (where.candidate is None or label.candidate == where.candidate)
                and (where.source is None or label.source == where.source)
                for label in example.labels
            )
        )
    )

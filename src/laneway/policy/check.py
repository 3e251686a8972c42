"""Whether an answer will do, where a cheap model is asked first.

Owns: the marks by which an answer is known not to do.
Refuses: judging whether it is right; a judge would cost more than the dearer answer.
"""

from __future__ import annotations

import msgspec

from laneway.chat import Answer, Finish, Text, ToolCall
from laneway.route import Check


def flaw(check: Check, answer: Answer) -> str | None:
    """What is wrong with an answer, in words that hold none of its own; None where it will do."""
    if any(isinstance(part, ToolCall) for part in answer.parts):
        return None  # it is no answer yet
    if answer.finish in (Finish.REFUSED, Finish.FILTERED):
        return "it was refused"
    if check.whole and answer.finish is Finish.LENGTH:
        return "it was cut at its length"
    text = "".join([part.text for part in answer.parts if isinstance(part, Text)]).strip()
    if len(text) < check.least_chars:
        return f"it has fewer than {check.least_chars} characters"
    folded = text.casefold()
    for phrase in check.without:
        if phrase.casefold() in folded:
            return "it holds words that it must not hold"
    if check.json and not _is_json(text):
        return "it is no JSON"
    return None


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"), type=dict)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True

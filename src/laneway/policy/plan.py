"""Which of the candidates can serve a request, in which order.

Owns: what rules a target out (operation, abilities, window, money) with its reason in words, and the plain order.
Refuses: learning and stickiness, which only reorder what this leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from laneway.chat import Op
from laneway.dialects import View
from laneway.failure import Kind
from laneway.route import Decision, Dropped, Target

CHARS_PER_TOKEN = 4
MOST_CALLS = 6
"""Calls of providers that one request may cause, whatever its plan says."""


def plan(candidates: Sequence[Target], view: View | None, already: Sequence[Dropped], *, by: str = "order") -> Decision:
    """The candidates that can serve, in their order, with the rest as dropped."""
    if not already and (view is None or not any(map(unable, candidates, repeat(view)))):
        return Decision(ranked=tuple(candidates), by=by)
    ruled_out = {dropped.target.name for dropped in already} if already else ()
    ranked: list[Target] = []
    dropped = list(already)
    for target in candidates:
        if ruled_out and target.name in ruled_out:
            continue
        reason = unable(target, view) if view is not None else None
        if reason is None:
            ranked.append(target)
        else:
            dropped.append(Dropped(target, reason))
    return Decision(ranked=tuple(ranked), by=by, dropped=tuple(dropped))


def nobody(dropped: Sequence[Dropped], view: View | None) -> Kind:
    """What it is that no candidate is left: the request's own fault where none of them could ever serve it.

    Clients ask again after a 503, and some shorten a conversation that they are told is too long.
    """
    if view is None or not dropped or not all(unable(each.target, view) for each in dropped):
        return Kind.NO_TARGET
    lacking = any(_lacking(each.target, view) for each in dropped)
    return Kind.UNSUPPORTED if lacking else Kind.CONTEXT_TOO_LONG


def unable(target: Target, view: View) -> str | None:
    """Why a target cannot serve a request, or None. What is not known rules nothing out."""
    lacking = _lacking(target, view)
    if lacking is None and target.window is not None and view.text_chars > target.window * CHARS_PER_TOKEN * 2:
        # Twice the usual characters per token: only what is far too long for certain is ruled out here.
        return f"prompt of {view.text_chars} characters exceeds its window of {target.window} tokens"
    return lacking


def _lacking(target: Target, view: View) -> str | None:
    if (target.kind == "embed") is not (view.op is Op.EMBED) and (target.kind == "embed" or target.abilities):
        return "makes embeddings only" if target.kind == "embed" else "makes no embeddings"
    if view.needs and target.abilities is not None:
        missing = view.needs - target.abilities
        if missing:
            return f"cannot do {', '.join(sorted(missing))}"
    return None

"""Decisions beside what the legacy path chose: in what they differ, and what many of them add up to.

Owns: the kinds of divergence, the sums of a report, and the report's shape for a program and for a person.
Refuses: reading or keeping rows, and guessing: what one side did not say is not compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from laneway.failure import Kind, fail
from laneway.policy.names import spelling
from laneway.policy.price import nanos_to_usd
from laneway.ports import KINDS, Beside, Choice, LaneFigures, ShadowRow
from laneway.route import Target


def compared(
    decided: Choice, legacy: Choice, *, target: Target | None, kept_off: Collection[Target] = ()
) -> tuple[str, ...]:
    """In what a decision differs from what the legacy path chose; empty where they agree.

    `target` is what was decided (None: nothing), and `kept_off` are those that a rule of the lane's hosts denies.
    """
    kinds: list[str] = []
    if target is not None and legacy.denied is None:
        if legacy.host and legacy.host.lower().rstrip("/") not in _hosts(target):
            kinds.append("host")
        if legacy.model and spelling(legacy.model) not in _models(target):
            kinds.append("model")
        if legacy.tier and legacy.tier.lower() != target.provider.tier.value:
            kinds.append("tier")
        if legacy.fallback is not None and legacy.fallback is not bool(decided.fallback):
            kinds.append("fallback")
    if (decided.denied is None) is not (legacy.denied is None) or any(_is(legacy, each) for each in kept_off):
        kinds.append("denial")
    return tuple(kinds)


def _hosts(target: Target) -> frozenset[str]:
    """The names under which somebody may know a target's host."""
    provider = target.provider
    parts = urlsplit(provider.origin)
    named = (provider.name, provider.origin, f"{provider.origin}{provider.path}", parts.netloc, parts.hostname or "")
    return frozenset(name.lower() for name in named)


def _models(target: Target) -> frozenset[str]:
    return frozenset((spelling(target.upstream), spelling(target.model), spelling(target.name)))


def _is(choice: Choice, target: Target) -> bool:
    """Whether somebody's choice was this target; who names only a model may have meant another host."""
    if not choice.host or not choice.model or choice.host.lower().rstrip("/") not in _hosts(target):
        return False
    return spelling(choice.model) in _models(target)


class Adding:
    """The figures of one lane, row by row."""

    __slots__ = ("_figures", "_kinds", "_sums", "lane")

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self._figures = dict.fromkeys(
            ("decisions", "undecided", "denied", "compared", "agreed", "executed", "failed", "paid"), 0
        )
        self._kinds = dict.fromkeys(KINDS, 0)
        self._sums: dict[str, list[float]] = {"latency_ms": [0, 0, 0], "cost_nanos": [0, 0, 0]}

    def add(self, row: ShadowRow) -> None:
        figures = self._figures
        if row.executed:
            figures["executed"] += 1
            figures["failed"] += row.failed
            figures["paid"] += row.paid
            return
        decided, legacy = row.decided, row.legacy
        figures["decisions"] += 1
        figures["undecided"] += decided is None
        figures["denied"] += decided is not None and decided.denied is not None
        if decided is None or legacy is None:
            return
        if row.compared:
            figures["compared"] += 1
            figures["agreed"] += not row.kinds
            for kind in row.kinds:
                self._kinds[kind] = self._kinds.get(kind, 0) + 1
        for name, sums in self._sums.items():
            ours, theirs = getattr(decided, name), getattr(legacy, name)
            if ours is not None and theirs is not None:
                sums[0] += 1
                sums[1] += ours
                sums[2] += theirs

    def figures(self) -> LaneFigures:
        sums = {name: Beside(int(pairs), ours, theirs) for name, (pairs, ours, theirs) in self._sums.items()}
        return LaneFigures(lane=self.lane, kinds=self._kinds, **sums, **self._figures)  # type: ignore[arg-type]


def added(rows: Iterable[ShadowRow]) -> list[LaneFigures]:
    """By lane name."""
    lanes: dict[str, Adding] = {}
    for row in rows:
        lane = lanes.get(row.lane)
        if lane is None:
            lane = lanes[row.lane] = Adding(row.lane)
        lane.add(row)
    return [lanes[name].figures() for name in sorted(lanes)]


def place_of_95(count: int) -> int:
    """Where in order the value stands that 95 of 100 do not pass."""
    return max(-(-count * 95 // 100) - 1, 0)


# --- the report --------------------------------------------------------------------------------------------

_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_since(text: str, now_s: float) -> float:
    """An instant (RFC 3339), Unix seconds, or so long ago: `24h`, `7d`. Nothing: everything that is kept."""
    if not text:
        return 0.0
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_s - int(ago[1]) * _SECONDS[ago[2]]
    try:
        since_s = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        message = "since: expected '24h', '7d', an instant such as '2026-01-31T12:00:00Z', or Unix seconds."
        raise fail(Kind.BAD_REQUEST, message, field="since") from None
    return since_s


def as_object(lanes: Sequence[LaneFigures], since_s: float) -> dict[str, object]:
    """The report for a program. Differences are the decision's figure less the legacy path's, on the average."""
    return {"object": "shadow", "since_s": since_s, "data": [_shown(figures) for figures in lanes]}


def _shown(figures: LaneFigures) -> dict[str, object]:
    latency, cost = figures.latency_ms, figures.cost_nanos
    return {
        "lane": figures.lane,
        "decisions": figures.decisions,
        "undecided": figures.undecided,
        "denied": figures.denied,
        "compared": figures.compared,
        "agreed": figures.agreed,
        "agreement": round(figures.agreed / figures.compared, 6) if figures.compared else None,
        "divergence": dict(figures.kinds),
        "latency": {
            "pairs": latency.pairs,
            "decided_ms": _mean(latency.decided, latency.pairs),
            "legacy_ms": _mean(latency.legacy, latency.pairs),
            "difference_ms": _mean(latency.decided - latency.legacy, latency.pairs),
        },
        "cost": {
            "pairs": cost.pairs,
            "decided_usd": nanos_to_usd(int(cost.decided)),
            "legacy_usd": nanos_to_usd(int(cost.legacy)),
            "difference_usd": nanos_to_usd(int(cost.decided) - int(cost.legacy)),
        },
        "executed": figures.executed,
        "failed": figures.failed,
        "paid_fallbacks": figures.paid,
    }


def _mean(total: float, count: int) -> float | None:
    return round(total / count, 3) if count else None


def as_cells(lanes: Sequence[LaneFigures]) -> list[tuple[str, ...]]:
    """The report for a person: a row of headings, and a row for each lane."""
    rows: list[tuple[str, ...]] = [
        ("lane", "decisions", "compared", "agreement", *KINDS, "latency ms", "cost USD", "executed", "failed", "paid")
    ]
    for figures in lanes:
        latency, cost = figures.latency_ms, figures.cost_nanos
        slower = _mean(latency.decided - latency.legacy, latency.pairs)
        dearer = int(cost.decided) - int(cost.legacy)
        rows.append(
            (
                figures.lane,
                str(figures.decisions),
                str(figures.compared),
                f"{100 * figures.agreed / figures.compared:.1f} %" if figures.compared else "-",
                *(str(figures.kinds.get(kind, 0)) for kind in KINDS),
                f"{slower:+g}" if slower is not None else "-",
                f"{'+' if dearer > 0 else ''}{nanos_to_usd(dearer)}" if cost.pairs else "-",
                str(figures.executed),
                str(figures.failed),
                str(figures.paid),
            )
        )
    return rows

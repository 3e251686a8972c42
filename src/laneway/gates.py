"""Stages out of what a person wrote: each lane's legacy path, and the gates that move it.

Owns: what a legacy path may be (a target, or a url that is called as the caller called the gateway), how gates are
read, and what is wrong with any of it. Refuses: judging by a gate, and calling anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from laneway.chains import Resolve
from laneway.config import joined
from laneway.places import address_fault, tier_of
from laneway.policy.stages import Gates, Promotion, Rollback
from laneway.route import FREE, Clocks, Lane, Provider, Stage, Target, Tier
from laneway.settings import PromotionTable, ProviderTable, RollbackTable, Settings

LEGACY = "legacy"
"""The name of a legacy path that is a url."""
Wrong = Callable[[str, str], None]


def with_legacy(
    lanes: Mapping[str, Lane], settings: Settings, clocks: Clocks, *, resolve: Resolve, wrong: Wrong
) -> dict[str, Lane]:
    """The lanes with their shares, and with who answers what they do not serve yet."""
    common = _legacy(settings.server.legacy, "server.legacy", clocks, resolve, wrong)
    made: dict[str, Lane] = {}
    for name, lane in lanes.items():
        table = settings.lanes[name]
        own = _legacy(table.legacy, f"{joined('lanes', name)}.legacy", clocks, resolve, wrong)
        made[name] = msgspec.structs.replace(lane, share=table.share, legacy=own or common)
    return made


def _legacy(text: str, path: str, clocks: Clocks, resolve: Resolve, wrong: Wrong) -> Target | None:
    if not text:
        return None
    if "://" in text:
        fault = address_fault(text)
        if fault:
            wrong(path, fault)
            return None
        return _at(text, clocks)
    found = resolve(text, path)
    if found and found[0].provider.dialect == "converse":
        wrong(path, "is a target that no front's requests can be passed to as they are; name another, or a url")
        return None
    return found[0] if found else None


def _at(url: str, clocks: Clocks) -> Target:
    """Nothing is known of what stands there, but whether it can only be one's own."""
    parts = urlsplit(url)
    tier = tier_of(ProviderTable(url=url))
    provider = Provider(
        name=LEGACY,
        dialect="",
        origin=f"{parts.scheme}://{parts.netloc}",
        path=parts.path.rstrip("/"),
        tier=tier,
        clocks=clocks,
        lists=False,
    )
    price = FREE if tier is Tier.LOCAL else None
    return Target(provider=provider, model="", upstream="", price=price, clocks=clocks)


def made_gates(settings: Settings, wrong: Wrong) -> dict[str, Gates]:
    """The gates of every lane that has any."""
    made: dict[str, Gates] = {}
    for name, table in settings.lanes.items():
        further, back = table.promotion, table.rollback
        if further is None and back is None:
            continue
        path = joined("lanes", name)
        if further is not None and back is not None:
            _check_apart(path, further, back, wrong)
        made[name] = Gates(_promotion(further), _rollback(back))
    return made


def _check_apart(path: str, further: PromotionTable, back: RollbackTable, wrong: Wrong) -> None:
    """What takes a lane further may not take it back at once."""
    if back.failure_share is not None and further.failure_share >= back.failure_share:
        wrong(f"{path}.promotion.failure_share", f"has to be below rollback.failure_share ({back.failure_share:g})")
    if back.p95 is not None and further.p95 is not None and further.p95 >= back.p95:
        wrong(f"{path}.promotion.p95", f"has to be below rollback.p95 ({back.p95:g})")


def _promotion(table: PromotionTable | None) -> Promotion | None:
    if table is None:
        return None
    return Promotion(
        after=table.after,
        agreement=table.agreement,
        failure_share=table.failure_share,
        p95_ms=_ms(table.p95),
        steps=tuple(sorted(set(table.steps))),
        up_to=Stage(table.up_to),
        hold_s=table.hold,
        rest_s=table.rest,
    )


def _rollback(table: RollbackTable | None) -> Rollback | None:
    if table is None:
        return None
    return Rollback(
        to=Stage(table.to),
        window_s=table.window,
        least=table.least,
        failure_share=table.failure_share,
        p95_ms=_ms(table.p95),
        paid=table.paid,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000

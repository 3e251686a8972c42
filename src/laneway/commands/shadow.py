"""`laneway shadow`: decisions beside the legacy path's, and how far each lane's traffic is let in.

Owns: the command's arguments and its print. Refuses: judging, and waiting for a gateway: what is ordered here is in
the store, and every process that shares it follows within seconds. A rollback is one command, and touches no kill.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.failure import FailureError
from laneway.loaded import load
from laneway.policy.shadows import as_cells, as_object, read_since
from laneway.policy.stages import words
from laneway.ports import Standing
from laneway.route import Stage
from laneway.staging import Staging

ACTOR = "terminal"
BY_HAND = "by hand"


def add(commands: Any) -> None:
    """Puts `shadow` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "shadow",
        help="compare decisions with the legacy path, and let lanes in stage by stage",
        description="Decisions beside what the legacy path chose, and the stages of lanes.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    report = _action(actions, "report", "agreement, divergence, latency and cost, by lane", _report)
    report.add_argument("--lane", metavar="LANE", help="only this lane")
    report.add_argument("--since", metavar="WHEN", default="", help="24h, 7d, 2026-01-31T12:00:00Z (default: all kept)")
    report.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _action(actions, "stages", "the stage in force of every lane, and who set it", _stages)
    promote = _action(actions, "promote", "take a lane a step further, or to --stage", _promote)
    promote.add_argument("lane", metavar="LANE")
    promote.add_argument("--stage", choices=[stage.value for stage in Stage], help="the stage to set")
    promote.add_argument("--share", type=float, metavar="PART", help="of a canary, from 0 to 1")
    rollback = _action(actions, "rollback", "take a lane back at once", _rollback)
    rollback.add_argument("lane", metavar="LANE")
    for action in (promote, rollback):
        action.add_argument("--reason", default=BY_HAND, help="why; it stands in the audit")


def _action(actions: Any, name: str, told: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=told)
    add_config(made)
    made.set_defaults(run=run)
    return made


def _report(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    try:
        since_s = read_since(parsed.since, time.time())
        lanes = with_store(loaded, lambda store: store.shadows.report(parsed.lane, since_s))
    except FailureError as error:
        complain(error.failure.message)
        return 2
    if parsed.json:
        say(json.dumps(as_object(lanes, since_s), indent=2))
    elif lanes:
        say_rows(as_cells(lanes), right=1)
    else:
        say("Nothing was decided beside a legacy path, or served in a canary.")
    return 0


def _stages(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)

    async def rows(staging: Staging) -> list[tuple[str, ...]]:
        await staging.follow()
        made: list[tuple[str, ...]] = []
        for name, lane in loaded.layout.lanes.items():
            now, standing = staging.of(lane), staging.standing(name)
            why = f"{standing.actor}: {standing.reason}" if standing is not None else "configuration"
            made.append((name, words(now.stage, now.share), why))
        return made

    say_rows(
        with_store(loaded, lambda store: rows(Staging(store.standings, store.shadows, loaded.layout)))
        or [("There are no lanes.",)]
    )
    return 0


def _promote(parsed: argparse.Namespace) -> int:
    async def order(staging: Staging) -> Standing:
        if parsed.stage is None and parsed.share is None:
            return await staging.promote(parsed.lane, parsed.reason, ACTOR)
        stage = parsed.stage or Stage.CANARY.value
        return await staging.order(parsed.lane, stage, parsed.share, parsed.reason, ACTOR)

    return _ordered(parsed, order)


def _rollback(parsed: argparse.Namespace) -> int:
    return _ordered(parsed, lambda staging: staging.rollback(parsed.lane, parsed.reason, ACTOR))


def _ordered(parsed: argparse.Namespace, order: Callable[[Staging], Awaitable[Standing]]) -> int:
    """Carries an order out and says what holds now."""
    loaded = load(parsed.config, os.environ)
    if loaded.layout.settings.server.store.startswith("memory:"):
        complain(f"A store in memory is the gateway's own: ask it, by PUT /admin/v1/lanes/{parsed.lane}/stage.")
        return 2
    try:
        made = with_store(loaded, lambda store: order(Staging(store.standings, store.shadows, loaded.layout)))
    except FailureError as error:
        complain(error.failure.message)
        return 2
    say(f"Lane {made.lane} is in stage {words(Stage(made.stage), made.share)}.")
    return 0

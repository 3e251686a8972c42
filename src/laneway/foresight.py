"""Foresight: what a decided request would come to at this moment, as the host board and the lane's rules see it.

Owns: walking a decision's targets as they would be tried, up to the first that would be called, and why each of the
others would not be. Refuses: calling anybody, taking a seat, and promises: a host may change its mind at any time.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.board import Board
from laneway.exchange import Exchange
from laneway.policy.failover import Course, barred, ordered
from laneway.route import PLAIN, Lane, Skipped, Target


def foresee(board: Board, exchange: Exchange) -> list[Skipped]:
    """The targets of the decision that would not be called now, each with the rule or the state that is in the way."""
    decision = exchange.decision
    if decision is None:
        return []
    lane = exchange.lane or PLAIN
    board.refresh()
    course = Course(lane, decision.ranked)
    found: list[Skipped] = []
    while course.left:
        against = barred(course, exchange.allowance) if lane.only_if or lane.emergency else None
        skipped = against or board.barred(course.left[0], lane) or _crowd(board, course.left[0], lane)
        if skipped is None:
            # The first that would be called; of those behind it only their hosts' state is known beforehand.
            rest = (board.barred(target, lane) for target in course.left[1:])
            return [*found, *(each for each in rest if each is not None)]
        found.append(skipped)
        course.skip(skipped)
    return found


def _crowd(board: Board, target: Target, lane: Lane) -> Skipped | None:
    host = board.hosts.get(target.provider.name)
    if host is None or host.plain or host.admission.may(lane.name):
        return None
    if host.waiting().get(lane.name, 0) < lane.queue:
        return None
    return Skipped(target=target, kind="full", reason="no slot is free and the queue is full")


def would_call(exchange: Exchange) -> Target | None:
    """The first that would be called, after `foresee` has been noted on the Exchange; None: nobody."""
    skipped = {each.target.name for each in exchange.skipped}
    return next((target for target in in_order(exchange) if target.name not in skipped), None)


def in_order(exchange: Exchange) -> Sequence[Target]:
    """The targets of the decision in the order in which they would be tried."""
    decision = exchange.decision
    return ordered(exchange.lane or PLAIN, decision.ranked) if decision is not None else ()

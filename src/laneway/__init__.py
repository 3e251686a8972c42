"""Laneway's public names, each loaded when it is first asked for.

Owns: the version, and the table that says which module a public name lives in. Refuses: to import anything at the
top, so that a program which wants one name does not pay for the HTTP client, the vector index, numpy or the database.
A new public name is one line in `PUBLIC` and one under TYPE_CHECKING, and a house test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laneway.failure import Failure as Failure
    from laneway.failure import Kind as Kind
    from laneway.forward import Forward as Forward
    from laneway.gateway import Gateway as Gateway
    from laneway.gateway import build as build
    from laneway.middleware.auth import AuthMiddleware as AuthMiddleware
    from laneway.middleware.budget import BudgetMiddleware as BudgetMiddleware
    from laneway.middleware.budget import usd as usd
    from laneway.middleware.fallback import FallbackMiddleware as FallbackMiddleware
    from laneway.middleware.lane import LaneMiddleware as LaneMiddleware
    from laneway.middleware.observe import ObserveMiddleware as ObserveMiddleware
    from laneway.middleware.router import RouterMiddleware as RouterMiddleware
    from laneway.middleware.shadow import ShadowMiddleware as ShadowMiddleware
    from laneway.middleware.stage import StageMiddleware as StageMiddleware
    from laneway.middleware.sticky import StickyMiddleware as StickyMiddleware
    from laneway.policy.names import Names as Names
    from laneway.route import Decision as Decision
    from laneway.route import Lane as Lane
    from laneway.route import Price as Price
    from laneway.route import Provider as Provider
    from laneway.route import Target as Target
    from laneway.route import Tenant as Tenant
    from laneway.stores.memory import MemoryJournal as MemoryJournal
    from laneway.stores.memory import MemoryKeys as MemoryKeys
    from laneway.stores.memory import MemoryLedger as MemoryLedger
    from laneway.stores.memory import MemoryPins as MemoryPins
    from laneway.upstream.engine import Engine as Engine

__version__ = "0.1.0"

PUBLIC = {
    "AuthMiddleware": "laneway.middleware.auth",
    "BudgetMiddleware": "laneway.middleware.budget",
    "Decision": "laneway.route",
    "Engine": "laneway.upstream.engine",
    "Failure": "laneway.failure",
    "FallbackMiddleware": "laneway.middleware.fallback",
    "Forward": "laneway.forward",
    "Gateway": "laneway.gateway",
    "Kind": "laneway.failure",
    "Lane": "laneway.route",
    "LaneMiddleware": "laneway.middleware.lane",
    "MemoryJournal": "laneway.stores.memory",
    "MemoryKeys": "laneway.stores.memory",
    "MemoryLedger": "laneway.stores.memory",
    "MemoryPins": "laneway.stores.memory",
    "Names": "laneway.policy.names",
    "ObserveMiddleware": "laneway.middleware.observe",
    "Price": "laneway.route",
    "Provider": "laneway.route",
    "RouterMiddleware": "laneway.middleware.router",
    "ShadowMiddleware": "laneway.middleware.shadow",
    "StageMiddleware": "laneway.middleware.stage",
    "StickyMiddleware": "laneway.middleware.sticky",
    "Target": "laneway.route",
    "Tenant": "laneway.route",
    "build": "laneway.gateway",
    "usd": "laneway.middleware.budget",
}


def __getattr__(name: str) -> object:
    module = PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"laneway has no public name {name!r}; dir(laneway) lists them")
    from importlib import import_module

    # Kept, so that the second look-up is an ordinary one.
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})

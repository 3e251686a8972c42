"""The configuration as written by a person: frozen structs, one per table of the file.

Owns: which keys exist, their types and defaults, and one sentence about each (the README's reference is made from
the docstrings). Refuses: reading files, checking references between tables (config does), and run-time objects.
"""

from __future__ import annotations

import msgspec

from laneway.settings.judges import JudgeTable as JudgeTable
from laneway.settings.lanes import LaneTable as LaneTable
from laneway.settings.lanes import TargetTable as TargetTable
from laneway.settings.learning import LearningTable as LearningTable
from laneway.settings.people import AlertKind as AlertKind
from laneway.settings.people import AlertTable as AlertTable
from laneway.settings.people import BudgetTable as BudgetTable
from laneway.settings.people import TenantTable as TenantTable
from laneway.settings.places import BreakerTable as BreakerTable
from laneway.settings.places import DenialTable as DenialTable
from laneway.settings.places import ModelTable as ModelTable
from laneway.settings.places import ProviderTable as ProviderTable
from laneway.settings.pools import CheckTable as CheckTable
from laneway.settings.pools import PoolTable as PoolTable
from laneway.settings.runs import RunsTable as RunsTable
from laneway.settings.server import READ_ONCE as READ_ONCE
from laneway.settings.server import ServerTable as ServerTable
from laneway.settings.stages import PromotionTable as PromotionTable
from laneway.settings.stages import RollbackTable as RollbackTable
from laneway.settings.telemetry import TelemetryTable as TelemetryTable
from laneway.settings.units import Ability as Ability
from laneway.settings.units import Count as Count
from laneway.settings.units import PriceTable as PriceTable
from laneway.settings.units import Seconds as Seconds
from laneway.settings.units import Timeouts as Timeouts


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    server: ServerTable = ServerTable()
    """The gateway itself."""
    timeouts: Timeouts = Timeouts()
    """Time limits of every call."""
    providers: dict[str, ProviderTable] = {}
    """Places that serve models."""
    models: dict[str, ModelTable] = {}
    """Models under names of your own."""
    pools: dict[str, PoolTable] = {}
    """Candidates among which a rule chooses."""
    lanes: dict[str, LaneTable] = {}
    """Named kinds of traffic."""
    tenants: dict[str, TenantTable] = {}
    """Callers who share keys, permissions and a budget."""
    budgets: dict[str, BudgetTable] = {}
    """Caps on spending."""
    denials: dict[str, DenialTable] = {}
    """Which models are kept off which providers."""
    breaker: BreakerTable = BreakerTable()
    """When a model at a provider is left alone after timeouts."""
    alerts: dict[str, AlertTable] = {}
    """Where people are told what happened."""
    telemetry: TelemetryTable = TelemetryTable()
    """Spans of requests."""
    judges: dict[str, JudgeTable] = {}
    """Models that score a sample of the answers that pools gave."""
    learning: LearningTable = LearningTable()
    """The memory of scored examples, and how it is searched."""
    runs: RunsTable = RunsTable()
    """Requests that are answered later."""

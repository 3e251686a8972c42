"""Capacity: what each provider can carry, and what is kept off it or kept on it, out of what was written.

Owns: slots and their reservations, warm models per host, denials and the breaker's rules as policy wants them, with
what is wrong with them. Refuses: the state of any host (the board has it), and judging a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from laneway.config import joined, nearest, visible
from laneway.policy.breaker import BreakerRules
from laneway.policy.residency import Denial, plain_name, read_parameters
from laneway.route import HostRules, Lane, Provider
from laneway.settings import BreakerTable, DenialTable, Settings

Wrong = Callable[[str, str], None]
GIB = 1 << 30
KEEP_S = 1800.0
"""How long a warm model is asked to stay after each call; long enough that others go first."""
PATIENCE_S = 20.0


def made_hosts(
    settings: Settings, providers: Mapping[str, Provider], lanes: Mapping[str, Lane], wrong: Wrong, scale: float
) -> dict[str, HostRules]:
    """The rules of every provider that has any."""
    made: dict[str, HostRules] = {}
    for name in providers:
        table = settings.providers[name]
        path = joined("providers", name)
        for lane in table.reserved:
            if lane not in settings.lanes:
                wrong(f"{path}.reserved.{lane}", f'there is no lane "{visible(lane)}"{nearest(lane, settings.lanes)}')
        if table.reserved and table.slots is None:
            wrong(f"{path}.slots", "is missing: reserved slots are a part of it")
        elif table.slots is not None and sum(table.reserved.values()) > table.slots:
            wrong(f"{path}.reserved", f"reserves {sum(table.reserved.values())} of {table.slots} slots")
        protected = frozenset(
            plain_name(target.upstream)
            for lane in lanes.values()
            for target in lane.targets
            if target.name in lane.warm and target.provider.name == name
        )
        memory = int(table.memory_gb * GIB) if table.memory_gb is not None else None
        made[name] = HostRules(
            slots=table.slots,
            reserved=dict(table.reserved),
            protected=protected,
            memory_bytes=memory,
            keep_s=max(KEEP_S * scale, 1.0),
        )
    return made


def made_denials(settings: Settings, wrong: Wrong) -> tuple[Denial, ...]:
    return tuple(_denial(name, table, settings, wrong) for name, table in settings.denials.items())


def _denial(name: str, table: DenialTable, settings: Settings, wrong: Wrong) -> Denial:
    path = joined("denials", name)
    for index, provider in enumerate(table.providers):
        if provider not in settings.providers:
            hint = nearest(provider, settings.providers)
            wrong(f"{path}.providers[{index}]", f'there is no provider "{visible(provider)}"{hint}')
    parameters = read_parameters(table.from_parameters)
    if table.from_parameters and parameters is None:
        wrong(f"{path}.from_parameters", 'expected a size such as "14B" or "600M"')
    if not table.models and not table.from_parameters:
        wrong(path, "keeps nothing off: write models or from_parameters")
    return Denial(name=name, providers=frozenset(table.providers), models=table.models, from_parameters=parameters)


def made_breaker(table: BreakerTable, scale: float) -> BreakerRules:
    return BreakerRules(
        after=table.timeouts,
        cool_down_s=table.cool_down * scale,
        most_s=max(table.longest, table.cool_down) * scale,
        patience_s=PATIENCE_S * scale,
    )

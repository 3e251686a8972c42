"""What a tenant may use.

Owns: matching a tenant's model patterns against the names a target goes by.
Refuses: lanes (a set look-up where it is needed) and money.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from laneway.route import Target, Tenant


def permitted(tenant: Tenant, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Those of the targets that the tenant may use, in their order."""
    patterns = tenant.models
    if patterns is None:
        return tuple(targets)
    return tuple(
        target
        for target in targets
        if any(
            fnmatchcase(name, pattern) for pattern in patterns for name in (target.model, target.upstream, target.name)
        )
    )


def may_use(tenant: Tenant, targets: Iterable[Target]) -> bool:
    return bool(permitted(tenant, targets))

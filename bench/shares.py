"""Processes held to a share of one processor each, by the kernel's groups: so that few processors show what many would.

Owns: making a group for each process, and taking it away. Refuses: machines without such groups, or without the right
to make any (root has it), with an OSError that says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD_US = 10_000
_OLD = Path("/sys/fs/cgroup/cpu")
_NEW = Path("/sys/fs/cgroup")


@contextmanager
def held(pids: Iterable[int], share: float) -> Iterator[None]:
    """Each of them may use so much of a processor in every hundredth of a second, with all its threads."""
    groups: list[tuple[Path, Path]] = []
    try:
        for pid in pids:
            root = _OLD if (_OLD / "cgroup.procs").exists() else _NEW
            group = root / f"laneway-bench-{os.getpid()}-{pid}"
            group.mkdir()
            groups.append((group, root))
            quota_us = round(PERIOD_US * share)
            if root is _OLD:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota_us))
            else:
                (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for group, root in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                (root / "cgroup.procs").write_text(pid)
            group.rmdir()

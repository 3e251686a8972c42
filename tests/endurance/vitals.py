"""The vital signs of a gateway: what a look from outside says of its memory, its files and its tasks.

Owns: reading them, and the words for what is wrong with them. Refuses: traffic.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.endurance.scene import ADMIN, Scene

PAGE = os.sysconf("SC_PAGE_SIZE")
GROWTH = 1.03
READERS = 8
"""Files that the store's readers hold, who are opened as they are wanted, and stay."""
WAL_BYTES = 70 << 20
BYTES_EACH = 16_384
"""Of the database, for a request: its record, its decision, its part of the sums, its run."""


class Sign(NamedTuple):
    """One look."""

    at_s: float
    resident: int
    kinds: Counter[str]
    """Open files by name; sockets are all of one."""
    tasks: int

    @property
    def files(self) -> int:
        return self.kinds.total()


def look(scene: Scene, at_s: float) -> Sign:
    process = Path(f"/proc/{scene.gateway.process.pid}")
    told = scene.gateway.get("/metrics").text
    return Sign(
        at_s,
        int((process / "statm").read_text().split()[1]) * PAGE,
        Counter(_kind(each) for each in (process / "fd").iterdir()),
        int(_metric(told, "laneway_tasks")),
    )


def _kind(file: Path) -> str:
    try:
        return str(file.readlink()).partition(":[")[0].rpartition("/")[2]
    except OSError:
        return "closed meanwhile"


def _metric(told: str, name: str) -> float:
    """Summed over its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", told, re.MULTILINE))


def is_quiet(scene: Scene, before: Sign) -> bool:
    """Whether only what was there before is left, and what is kept open to the providers."""
    now = look(scene, 0.0)
    kept = sum(house.open_connections() for house in scene.houses)
    sockets = now.kinds["socket"] <= before.kinds["socket"] + kept
    others = now.files - now.kinds["socket"] <= before.files - before.kinds["socket"] + READERS
    return sockets and others and now.tasks <= before.tasks


def memory(signs: Sequence[Sign]) -> tuple[float, float]:
    """MiB after the warm-up, which is the first two fifths, and in the last fifth."""
    fifth = max(len(signs) // 5, 1)
    after = median(sign.resident for sign in signs[2 * fifth : 3 * fifth])
    return after / 2**20, median(sign.resident for sign in signs[-fifth:]) / 2**20


def p99_ms(steady: Sequence[tuple[float, float]], share: slice) -> float:
    """Of the plain requests in a part of the run."""
    took = sorted(took for _, took in steady[share])
    return took[int(len(took) * 0.99)] * 1000 if took else 0.0


def books(scene: Scene) -> tuple[Decimal, Decimal, Decimal, int]:
    """What the ledger has spent and holds, what the records say, and how many there are."""
    answer = scene.gateway.get("/admin/v1/budgets", headers=ADMIN).json()
    house = next(each for each in answer["data"] if each["name"] == "house")["accounts"][0]
    recorded, count = Decimal(0), 0
    told = scene.gateway.get("/admin/v1/records/export", headers=ADMIN)
    for line in told.text.splitlines():
        record = json.loads(line)
        recorded += Decimal(str(next(value for name, value in _flat(record) if name.endswith("cost_usd"))))
        count += 1
    return Decimal(house["spent_usd"]), Decimal(house["held_usd"]), recorded, count


def _flat(record: object, name: str = "") -> list[tuple[str, object]]:
    if isinstance(record, dict):
        return [pair for key, value in record.items() for pair in _flat(value, key)]
    return [(name, record)]


def store_bytes(folder: Path) -> tuple[int, int]:
    """The database and its log."""
    log = folder / "kept.db-wal"
    return (folder / "kept.db").stat().st_size, log.stat().st_size if log.exists() else 0

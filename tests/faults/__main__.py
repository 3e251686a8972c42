"""`make faults`: the table, played, with one line for each fault and one column for each front.

Owns: what a person reads of it. Refuses: tests of the suite itself, which pytest runs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults.judge import complaints
from tests.faults.play import play
from tests.faults.table import CELLS, FRONTS, ROWS


def main() -> int:
    """Prints the table, then every broken promise; 1 if there is one."""
    # The gateway logs each failed request, and failing is what they are for.
    logging.getLogger("laneway").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(play(CELLS, Path(folder)))
    found = {cell.name: complaints(cell, seen[cell.name]) for cell in CELLS}
    columns = [(front, stream) for front in FRONTS for stream in (True, False)]
    print(" " * 34 + "".join(f"{front + (' stream' if stream else ''):>18}" for front, stream in columns))
    for row in ROWS:
        line = f"{row.name:<34}"
        for front, stream in columns:
            here = [cell for cell in CELLS if (cell.row, cell.front, cell.stream) == (row, front, stream)]
            good = sum(not found[cell.name] for cell in here)
            line += f"{f'{good} of {len(here)}' if good < len(here) else 'ok':>18}"
        print(line)
    broken = {name: said for name, said in found.items() if said}
    for name, said in broken.items():
        print(f"\n{name}", *said, sep="\n  ")
    print(f"\n{len(ROWS)} faults, {len(CELLS) - len(broken)} of {len(CELLS)} cases as promised")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

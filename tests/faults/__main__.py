"""`make faults`: the table, played, with one line for each fault and one column for each front and form.

Owns: what a person reads of it. Refuses: tests of the suite itself, which pytest runs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.faults.judge import complaints
from tests.faults.play import play
from tests.faults.table import CELLS, FRONTS, RESCUES, ROWS, Cell


def main() -> int:
    """Prints the table, then every broken promise; 1 if there is one."""
    # The gateway logs each failed request, and failing is what they are for.
    logging.getLogger("laneway").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(play(CELLS, Path(folder)))
    found = {cell.name: complaints(cell, seen[cell.name]) for cell in CELLS}
    forms = (*RESCUES, "whole")
    print(" " * 34 + "".join(f"{front:>{10 * len(forms)}}" for front in FRONTS))
    print(" " * 34 + "".join(f"{form:>10}" for form in forms) * len(FRONTS))
    for row in ROWS:
        line = f"{row.name:<34}"
        for front, form in product(FRONTS, forms):
            here = [cell for cell in CELLS if (cell.row, cell.front, _form(cell)) == (row, front, form)]
            good = sum(not found[cell.name] for cell in here)
            line += f"{f'{good} of {len(here)}' if good < len(here) else 'ok':>10}"
        print(line)
    broken = {name: said for name, said in found.items() if said}
    for name, said in broken.items():
        print(f"\n{name}", *said, sep="\n  ")
    print(f"\n{len(ROWS)} faults, {len(CELLS) - len(broken)} of {len(CELLS)} cases as promised")
    return 1 if broken else 0


def _form(cell: Cell) -> str:
    """Its column: an answer that is not streamed, or how the stream is to be saved."""
    return cell.rescue if cell.stream else "whole"


if __name__ == "__main__":
    sys.exit(main())

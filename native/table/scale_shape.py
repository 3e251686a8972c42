"""Makes native/src/shape_scales.inc: the constants that the numbers of a prompt's shape are scaled with.

Owns: the means and spreads, taken once from public prompts. Only their texts are read, never a score; every file weighs
the same, and in a file every task. Spreads have a floor, so that a mark which these prompts hardly know (a code fence,
a foreign letter) moves a vector as far as any other and not to the clip at its first appearance.
Refuses: constants for the request around a prompt: public prompts come without one. Those are set here by hand; their
mean is zero, so that a bare prompt is pulled nowhere.

    PYTHONPATH=src python native/table/scale_shape.py DATA.jsonl.gz... > native/src/shape_scales.inc
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from laneway import _core

FLOOR = {"log": 1.0, "share": 0.04}
TEXT = (
    ("characters", "log"),
    ("words", "log"),
    ("word length", "log"),
    ("newlines", "log"),
    ("digits", "share"),
    ("capitals", "share"),
    ("foreign letters", "share"),
    ("punctuation", "share"),
    ("brackets", "share"),
    ("operators", "share"),
    ("question marks", "log"),
    ("numbers", "log"),
    ("LaTeX", "log"),
    ("options", "log"),
    ("code fences", "log"),
    ("programming words", "log"),
    ("longest line", "log"),
    ("blanks to fill in", "log"),
    ("asking words", "log"),
)
REQUEST = (
    ("tools", 1.5),
    ("earlier turns", 1.5),
    ("system characters", 6.0),
    ("structured answer", 0.5),
    ("max_tokens", 6.0),
)


def moments(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and mean square of every number over the prompts of one file, tasks weighing the same."""
    shapes: dict[str, list[list[float]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            shapes[row["task"]].append(_core.shape(row["prompt"])[: len(TEXT)])
    tasks = [np.asarray(task) for task in shapes.values()]
    return np.mean([t.mean(axis=0) for t in tasks], axis=0), np.mean([(t**2).mean(axis=0) for t in tasks], axis=0)


def main() -> None:
    """Prints the include file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    found = [moments(path) for path in parser.parse_args().data]
    mean = np.mean([first for first, _ in found], axis=0)
    spread = np.sqrt(np.mean([second for _, second in found], axis=0) - mean**2)
    print("// Made by native/table/scale_shape.py; not edited by hand. Mean and spread of each number.")
    for (name, kind), middle, width in zip(TEXT, mean, spread, strict=True):
        print(f"    {{{middle:.4f}f, {max(width, FLOOR[kind]):.4f}f}},  // {name}")
    for name, width in REQUEST:
        print(f"    {{0.0f, {width:.4f}f}},  // {name}")


if __name__ == "__main__":
    main()

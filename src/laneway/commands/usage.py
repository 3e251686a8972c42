"""`laneway usage`: what was used and what it cost, as a table for a person or as CSV.

Owns: the command's arguments and its print. Refuses: adding up (the store does) and the words of the question
(policy/report reads them, for this and for the endpoints alike).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.failure import FailureError
from laneway.loaded import load
from laneway.policy.report import as_cells, as_csv, read_question
from laneway.ports import LABELS


def add(commands: Any) -> None:
    """Puts `usage` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "usage",
        help="print what was used and what it cost",
        description="Print what was used and what it cost. `saved` is the difference to always asking the dearest "
        "model that could have answered.",
    )
    add_config(parser)
    parser.add_argument(
        "--by", default="day,tenant", metavar="LABELS", help=f"group by any of {','.join(LABELS)} (default: day,tenant)"
    )
    parser.add_argument("--from", dest="first", metavar="DAY", help="first day, as 2026-01-31 (default: 30 days)")
    parser.add_argument("--to", dest="last", metavar="DAY", help="last day, included (default: today, UTC)")
    for name in LABELS[1:]:
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only this {name}")
    parser.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    parser.set_defaults(run=_usage)


def _usage(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    asked = {"group_by": parsed.by, "from": parsed.first, "to": parsed.last}
    asked |= {name: getattr(parsed, name) for name in LABELS[1:]}
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        question = read_question(given, usual=(), now_s=time.time())
        lines = with_store(loaded, lambda store: store.reports.usage(question))
    except FailureError as error:
        complain(error.failure.message)
        return 2
    if parsed.csv:
        sys.stdout.write(as_csv(question, lines))
    elif lines:
        say_rows(as_cells(question, lines), right=len(question.by))
    else:
        say(f"Nothing was used from {question.first} to {question.last}.")
    return 0

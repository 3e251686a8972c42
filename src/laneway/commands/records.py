"""`laneway records`: what single requests led to, as a table for a person or as NDJSON.

Owns: the command's arguments and its print. Refuses: searching (the store does) and the words of the question
(policy/search reads them, for this and for the endpoints alike).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.failure import FailureError
from laneway.loaded import load
from laneway.policy.search import MOST_RECORDS, read_search
from laneway.ports import Search
from laneway.store import Store


def add(commands: Any) -> None:
    """Puts `records` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "records",
        help="print what single requests led to",
        description="Print what single requests led to, newest first.",
    )
    add_config(parser)
    parser.add_argument("--from", dest="first", metavar="WHEN", help="2026-01-31, 2026-01-31T12:00:00Z or Unix seconds")
    parser.add_argument("--to", dest="last", metavar="WHEN", help="likewise; a day is included, an instant is not")
    parser.add_argument("--limit", default="", metavar="N", help="at most so many (default: 20; with --ndjson all)")
    parser.add_argument(
        "--where", action="append", default=[], metavar="ATTRIBUTE=VALUE", help="only such, as status=502; repeatable"
    )
    parser.add_argument("--ndjson", action="store_true", help="print whole records, one JSON object in each line")
    parser.set_defaults(run=_records)


def _records(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    asked = {"from": parsed.first, "to": parsed.last, "limit": parsed.limit or None}
    for pair in parsed.where:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            complain(f"--where: expected ATTRIBUTE=VALUE, got '{pair[:80]}'.")
            return 2
        asked[name] = value
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        wanted = read_search(given, usual=1 << 62 if parsed.ndjson else 20, most=None)
    except FailureError as error:
        complain(error.failure.message)
        return 2
    prefix = loaded.layout.settings.server.record_prefix
    found = with_store(
        loaded, lambda store: _written(store, wanted) if parsed.ndjson else _table(store, wanted, prefix)
    )
    if not found and not parsed.ndjson:
        say("There are no such records.")
    return 0


async def _written(store: Store, wanted: Search) -> int:
    """Page by page, however many there are."""
    count = 0
    while count < wanted.limit:
        page = wanted._replace(limit=min(wanted.limit - count, MOST_RECORDS))
        found = await store.journal.search(page)
        for record in found:
            sys.stdout.write(record.text.decode() + "\n")
        count += len(found)
        if len(found) < page.limit:
            break
        wanted = wanted._replace(below=found[-1].number)
    return count


async def _table(store: Store, wanted: Search, prefix: str) -> int:
    found = [msgspec.json.decode(record.text) for record in await store.journal.search(wanted)]
    if found:
        heading = ("at (UTC)", "status", "lane", "model", "endpoint", "in", "out", "cost USD", "ms", "why", "request")
        say_rows([heading, *(_row(record, prefix) for record in found)])
    return len(found)


def _row(record: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    def told(name: str) -> str:
        value = record.get(name)
        return "-" if value is None or value == "" else str(value)

    return (
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record["at_s"])),
        told("status"),
        told(f"{prefix}.lane"),
        told("gen_ai.request.model")[:40],
        told(f"{prefix}.endpoint"),
        told("gen_ai.usage.input_tokens"),
        told("gen_ai.usage.output_tokens"),
        told(f"{prefix}.cost_usd"),
        f"{record['elapsed_ms']:.0f}",
        told("failure") if record.get("failure") else told(f"{prefix}.fallback_reason"),
        told("request_id"),
    )

"""The terminal: what every command says and asks there, in one voice.

Owns: words on the output and on the side of errors, tables, the argument that names a configuration, and the store of
a configuration opened for one piece of work. Refuses: any command of its own, and exit codes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from laneway.loaded import Loaded
from laneway.settings import ServerTable
from laneway.store import Store, StoreError, in_memory, store_of

T = TypeVar("T")


def say(text: str) -> None:
    print(text, flush=True)


def complain(text: str) -> None:
    print(f"laneway: {text}", file=sys.stderr, flush=True)


def say_rows(rows: Sequence[tuple[str, ...]], *, indent: str = "", right: int | None = None) -> None:
    """Cells in columns; from column `right` on they are figures and stand at the right."""
    columns = max(map(len, rows), default=0)
    # The last cell of a row that is no figure may be a sentence, and pushes nobody aside.
    ends = 1 if right is None else 0
    widths = [max((len(row[at]) for row in rows if len(row) > at + ends), default=0) for at in range(columns)]
    for row in rows:
        cells = [
            cell.rjust(widths[at]) if right is not None and at >= right else cell.ljust(widths[at])
            for at, cell in enumerate(row)
        ]
        say(indent + "  ".join(cells).rstrip())


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file (TOML)")


def address_of(server: ServerTable) -> str:
    """Where a gateway of this configuration is reached from its own machine."""
    host = "127.0.0.1" if server.host in ("", "0.0.0.0", "::") else server.host  # noqa: S104 - what is listened on
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def with_store(loaded: Loaded, work: Callable[[Store], Awaitable[T]]) -> T:
    """Opens the configuration's store, does the work, and closes it. Raises StoreError, too, for one in memory."""
    server = loaded.layout.settings.server
    if in_memory(server.store):
        # An order would be lost, and a list empty, whatever a gateway has in its own.
        raise StoreError(
            "This store is in memory, where only the gateway itself reaches it: ask that over /admin/v1, or name a "
            "file in LANEWAY_STORE or server.store."
        )

    async def run() -> T:
        store = store_of(server)
        await store.start()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())

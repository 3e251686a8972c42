"""`laneway teach`: scored prompts from a file become a tenant's examples, all of them or none.

Owns: the command's arguments, its progress, sending a file in pieces under one batch's name, and what it says in the
end. Refuses: deciding what is right, which the gateway does, or without one the same code beside the store.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from laneway.commands.terminal import add_config, address_of, complain, say, with_store
from laneway.evaluate.command import Progress
from laneway.failure import FailureError, Kind, fail
from laneway.learning.samples import drafts, read_samples, sight_of
from laneway.learning.teaching import Teacher, new_batch, rolls_of
from laneway.loaded import Loaded, load
from laneway.policy.teaching import Warmth
from laneway.route import Tenant
from laneway.store import Store

ASK_S = 120.0
LOOK_S = 1.0
"""How long a gateway may take to say that it is there."""
PIECE_LINES, PIECE_BYTES = 500, 4 << 20
KEPT = ("prompt", "messages", "system", "max_tokens", "scores", "task_id", "label_source", "tag", "pool")
"""Of a line; what else a set of labelled prompts tells (its kind of task, costs) is for `laneway eval`."""

Send = Callable[[bytes, int, bool], dict[str, Any]]
"""A piece, the number of its first line, and whether it is only to be checked."""


def add(commands: Any) -> None:
    """Puts `teach` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "teach",
        help="teach a tenant's memory from a file of scored prompts",
        description="Teach a tenant's memory from a file of scored prompts: one JSON object a line, .gz or not, with a "
        "prompt (or messages) and scores from 0 to 1 by model. A running gateway is asked; without one, the store.",
    )
    add_config(parser)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--tenant", metavar="NAME", help="whose memory (default: the key's tenant, else default)")
    parser.add_argument("--pool", metavar="NAME", help="the pool whose candidates are named")
    parser.add_argument("--tag", metavar="FIELD", help="the field that says a prompt's kind, such as task")
    parser.add_argument("--source", metavar="NAME", help="who gave the scores (default: human)")
    parser.add_argument("--batch", metavar="NAME", help="a name to undo it by (default: made up)")
    parser.add_argument("--url", help="where the gateway runs (default: host and port of the configuration)")
    parser.add_argument("--key", default=os.environ.get("LANEWAY_KEY"), help="default: LANEWAY_KEY, else the admin's")
    parser.set_defaults(run=_teach)


def _teach(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    url = parsed.url or address_of(loaded.layout.settings.server)
    batch = parsed.batch or new_batch()
    try:
        lines = _read(parsed)
        if _answers(url):
            return _taught(lines, batch, _remote(url, loaded, parsed, batch), url)
        if parsed.url:
            raise fail(Kind.CONNECT, f"No gateway answers at {url}.")
        server = loaded.layout.settings.server
        if server.store.startswith("memory:"):
            raise fail(Kind.CONNECT, f"No gateway answers at {url}, and a store in memory is its own alone.")
        return with_store(loaded, lambda store: _beside(store, loaded, parsed, lines, batch))
    except FailureError as error:
        complain(error.failure.message)
        return 2


# --- the file ----------------------------------------------------------------------------------------------


def _read(parsed: argparse.Namespace) -> list[tuple[int, bytes]]:
    """Its lines as they are sent, each with its number."""
    # What reads sets of labelled prompts brings numpy, which no other command needs in order to start.
    from laneway.evaluate.dataset import DatasetError, lines_of

    found: list[tuple[int, bytes]] = []
    try:
        for number, line in enumerate(lines_of(parsed.file), 1):
            # Empty ones stay, so that the others keep their numbers.
            found.append((number, _line(line, number, parsed) if line.strip() else b""))
    except DatasetError as error:
        raise fail(Kind.BAD_REQUEST, str(error)) from None
    if not any(line for _, line in found):
        raise fail(Kind.BAD_REQUEST, f"{parsed.file} holds no lines.")
    return found


def _line(line: bytes, number: int, parsed: argparse.Namespace) -> bytes:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise fail(Kind.MALFORMED_REQUEST, f"line {number}: expected a JSON object.")
    kept = {name: said[name] for name in KEPT if name in said}
    if isinstance(kept.get("scores"), dict):
        # In sets of labelled prompts, null is a model that was not asked.
        kept["scores"] = {model: score for model, score in kept["scores"].items() if score is not None}
    if parsed.tag and said.get(parsed.tag):
        kept["tag"] = said[parsed.tag]
    given = {"pool": parsed.pool, "label_source": parsed.source}
    return json.dumps({**kept, **{name: value for name, value in given.items() if value is not None}}).encode()


def _pieces(lines: list[tuple[int, bytes]]) -> list[list[tuple[int, bytes]]]:
    pieces: list[list[tuple[int, bytes]]] = [[]]
    size = 0
    for line in lines:
        if pieces[-1] and (len(pieces[-1]) >= PIECE_LINES or size + len(line[1]) > PIECE_BYTES):
            pieces.append([])
            size = 0
        pieces[-1].append(line)
        size += len(line[1])
    return [piece for piece in pieces if any(line for _, line in piece)]


# --- a running gateway -------------------------------------------------------------------------------------


def _answers(url: str) -> bool:
    if not url.startswith(("http://", "https://")):
        raise fail(Kind.BAD_REQUEST, f"{url}: expected an http:// or https:// address.")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/healthz", timeout=LOOK_S) as answer:  # noqa: S310
            return bool(json.load(answer).get("status") == "ok")
    except (OSError, ValueError, AttributeError):
        return False


def _remote(url: str, loaded: Loaded, parsed: argparse.Namespace, batch: str) -> Send:
    key = parsed.key or loaded.layout.settings.server.admin_key
    headers = {"content-type": "application/x-ndjson"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    named = {"batch": batch, **({"tenant": parsed.tenant} if parsed.tenant else {})}

    def send(body: bytes, first: int, check: bool) -> dict[str, Any]:
        query = urllib.parse.urlencode({**named, "first": first, **({"check": 1} if check else {})})
        where = f"{url.rstrip('/')}/v1/router/preferences/rank?{query}"
        asked = urllib.request.Request(where, data=body, headers=headers)  # noqa: S310 - the scheme was looked at
        try:
            with urllib.request.urlopen(asked, timeout=ASK_S) as answer:  # noqa: S310
                told: dict[str, Any] = json.load(answer)
                return told
        except urllib.error.HTTPError as error:
            with error:
                raise fail(Kind.BAD_REQUEST, _words(error)) from None
        except (OSError, ValueError) as error:
            raise fail(Kind.CONNECT, f"The gateway at {url} did not answer: {error}.") from None

    return send


def _words(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {error.code}."


def _taught(lines: list[tuple[int, bytes]], batch: str, send: Send, where: str) -> int:
    pieces = _pieces(lines)
    progress = Progress(sys.stderr, 2 * len(lines))
    recorded, told = 0, dict[str, Any]()
    try:
        # All of it is checked before any of it is kept.
        for check in (True, False):
            for piece in pieces:
                told = send(b"\n".join(line for _, line in piece), piece[0][0], check)
                recorded += told["recorded"]
                progress.step(len(piece))
    except FailureError:
        progress.end()
        if recorded:
            complain(f"{recorded} examples were taught before: laneway memory undo --batch {batch}")
        raise
    progress.end()
    warm = {name: Warmth(each["labels"], each["needed"]) for name, each in told["warm"].items()}
    _say(recorded, batch, told["records"], warm, where)
    return 0


# --- the store alone ---------------------------------------------------------------------------------------


async def _beside(
    store: Store, loaded: Loaded, parsed: argparse.Namespace, lines: list[tuple[int, bytes]], batch: str
) -> int:
    layout = loaded.layout
    name = parsed.tenant or "default"
    tenant = layout.tenants.get(name) or Tenant(name=name)
    teacher = Teacher(store.examples, store.audit, name, rolls_of(layout, tenant), actor="terminal")
    pieces = _pieces(lines)
    progress = Progress(sys.stderr, 2 * len(lines))
    checked = []
    for piece in pieces:
        samples = read_samples(b"\n".join(line for _, line in piece), piece[0][0])
        checked.append(drafts(samples, sight_of(None)))
        teacher.read(checked[-1])
        progress.step(len(piece))
    recorded = 0
    for ready in checked:
        _, stored = await teacher.teach(ready, batch)
        recorded += len(stored)
        progress.step(len(ready))
    progress.end()
    _say(recorded, batch, await store.examples.count(name), await teacher.warmth(layout.pools), store.place)
    return 0


def _say(recorded: int, batch: str, records: int, warm: Mapping[str, Warmth], where: str) -> None:
    say(f"{recorded} examples were taught ({batch}, {where}); there are {records} now.")
    for name, found in warm.items():
        if found.needed:
            needed = ", ".join(f"{count} of {candidate}" for candidate, count in found.needed.items())
            say(f"pool {name}: {'warm, and ' if found.warm else ''}still needs labels: {needed}")
        else:
            say(f"pool {name}: warm ({', '.join(f'{count} of {who}' for who, count in found.labels.items())})")

"""Examples in SQLite, as another program sees the file: what was deleted is nowhere in it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec

from laneway.ports import Example
from laneway.stores.sqlite.contents import reclaim
from laneway.stores.sqlite.examples import SqliteExamples
from tests.harness.loop import run
from tests.harness.sqlite import database, rows, started


def _held(path: Path) -> bytes:
    """Every byte that rests on the disk."""
    return b"".join(part.read_bytes() for part in path.parent.iterdir())


def test_deleted_text_is_in_no_file(tmp_path: Path) -> None:
    """Neither in the file nor in its log, whether it was short, long, changed away or deleted; the rest stays."""
    path = tmp_path / "store.db"
    rng = random.Random(1)

    def text(number: int) -> str:
        return f"secret-{number:04}-" + rng.choice(("", "x" * 300, "y" * 5000)) + f"-end-{number:04}"

    async def scene() -> None:
        async with started(path) as store:
            kept: dict[int, Example] = {}
            gone: set[int] = set()
            number = 0
            for _ in range(12):
                many = [Example(text=text(number + at)) for at in range(30)]
                number += 30
                kept.update({one.id: one for one in await store.examples.add("acme", many)})
                some = rng.sample(sorted(kept), 18)
                for at in some[:6]:
                    gone.add(int(kept[at].text[7:11]))
                    kept[at] = msgspec.structs.replace(kept[at], text=text(number))
                    number += 1
                    assert await store.examples.change("acme", kept[at])
                vectors = {at: (kept[at], kept[at].text.encode()[:40] * 9) for at in some[6:]}
                await store.examples.keep_vectors("acme", "space", vectors)
                gone.update(int(kept.pop(at).text[7:11]) for at in some[6:])
                assert await store.examples.delete("acme", some[6:]) == 12
                held = _held(path)
                for mark in ("secret", "-end"):
                    assert [at for at in sorted(gone) if f"{mark}-{at:04}".encode() in held] == []
                assert all(f"secret-{one.text[7:11]}".encode() in held for one in kept.values())

    run(scene())


def test_places_are_given_back_and_still_nothing_is_left(tmp_path: Path) -> None:
    """Behind the newest, the file holds little more than what lives, whatever was taught first and stays."""
    path = tmp_path / "store.db"
    rng = random.Random(2)

    async def scene() -> None:
        async with database(path) as db:
            examples = SqliteExamples(db)
            kept: dict[int, str] = {}
            gone: set[str] = set()
            for turn in range(25):
                many = [Example(text=f"[{turn}.{at}.{'z' * rng.choice((5, 400, 6000))}]") for at in range(200)]
                kept.update({one.id: one.text for one in await examples.add("acme", many)})
                old = sorted(kept)[10:-40]
                gone.update(kept.pop(at).rstrip("z]") for at in old)
                await examples.delete("acme", old)
                while await db.write(reclaim):
                    pass
            await db.fold()
            assert gone.isdisjoint(text.decode() for text in re.findall(rb"\[\d+\.\d+\.", _held(path)))
            assert {one.id: one.text for one in await examples.list("acme", limit=1000)} == kept
        ((blank,),) = rows(path, "SELECT count(*) FROM contents WHERE substr(content, 1, 1) <> x'01'")
        assert 0 < blank < 2000

    run(scene())

"""Hint files: what a process has settled and not yet written into the tables, so that a kill loses nothing.

Owns: one append-only file per process beside the store, a line with a checksum for each settlement, the lock by which
a living owner is known, and reading what a dead one left.
Refuses: waiting for the disk (as the store itself does), and applying anything: the tables know what they have.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

MOST_BYTES = 1 << 20
"""A file that grows past this is written anew, without what the tables have."""

_encode = msgspec.json.Encoder().encode


class Settled(NamedTuple):
    """One request's settlement: what it spent in each account."""

    request_id: str
    at_s: float
    spent: Mapping[str, int]


class Left(NamedTuple):
    """What a dead process left behind."""

    path: Path
    owner: str
    settled: tuple[Settled, ...]


_decode = msgspec.json.Decoder(Settled).decode


class Hints:
    """The file of this process, locked from before it can be seen until the process ends."""

    def __init__(self, store: Path) -> None:
        self.owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._path = store.with_name(f"{store.name}-hint-{self.owner}")
        self._unseen = store.with_name(f"{store.name}-newhint-{self.owner}")
        self._size = 0
        self._file = self._made()

    def append(self, settled: Settled) -> None:
        """Raises OSError where the disk is full."""
        # The first line break ends whatever a full disk cut off before.
        self._size += os.write(self._file, _line(settled))

    def forget(self, rest: Iterable[Settled]) -> None:
        """All but `rest` is in the tables now."""
        if not self._size:
            return
        lines = b"".join(_line(settled) for settled in rest)
        if not lines:
            os.ftruncate(self._file, 0)
            self._size = 0
        elif self._size > MOST_BYTES:
            before, self._file = self._file, self._made(lines)
            os.close(before)
            self._size = len(lines)

    def close(self, *, keep: bool) -> None:
        """With `keep`, whoever comes next reads it as a dead process's."""
        if not keep:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _made(self, lines: bytes = b"") -> int:
        file = os.open(self._unseen, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if lines:
            os.write(file, lines)
        # Seen only when it is locked: nobody ever takes a new file for a dead process's.
        self._unseen.rename(self._path)
        return file


def _line(settled: Settled) -> bytes:
    text = _encode(settled)
    return b"\n%08x %b\n" % (zlib.crc32(text), text)


def read(data: bytes) -> Iterator[Settled]:
    """Every whole line, wherever a kill or a full disk cut the others."""
    for line in data.split(b"\n"):
        mark, _, text = line.partition(b" ")
        if len(mark) == 8 and b"%08x" % zlib.crc32(text) == mark:
            with suppress(msgspec.DecodeError):
                yield _decode(text)


def find_dead(store: Path) -> Iterator[Left]:
    """What processes that live no more left beside a store."""
    begin = f"{store.name}-hint-"
    for path in list(store.parent.iterdir()):
        if path.name.startswith(begin):
            with suppress(OSError), _locked(path) as file:
                yield Left(path, path.name.removeprefix(begin), tuple(read(_content(file))))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Raises BlockingIOError while the owner lives: the system lets go of its lock however it ends."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        os.close(file)


def _content(file: int) -> bytes:
    pieces: list[bytes] = []
    while piece := os.read(file, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)

"""Hint files: what a process has settled and not yet written into the tables, so that a kill loses nothing.

Owns: one file per process beside the store, mapped into memory, with a checksummed line for each settlement; the lock
by which a living owner is known; and reading what a dead one left.
Refuses: waiting for the disk (as the store itself does), and applying anything: the tables know what they have.

A line is there once it is copied: the system keeps what a killed process wrote into a mapped file. Each time the
tables have it all, lines begin at the top again under the next generation, which seeds their checksums, so that what
still stands below from an earlier one is no line any more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

FIRST_BYTES = 1 << 16
MOST_BYTES = 1 << 20
"""A file that grows past this is written anew, without what the tables have."""
_HEAD = 8
_GENERATION = re.compile(rb"[0-9a-f]{8}")
_encode = msgspec.json.Encoder().encode


class Settled(msgspec.Struct, frozen=True, array_like=True):
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
        self._generation = 0
        self._end = _HEAD
        self._file, self._map = self._made(())

    def append(self, settled: Settled) -> None:
        """Raises OSError where the disk is full."""
        line = _line(settled, self._generation)
        begin = self._end
        end = begin + len(line)
        if end > len(self._map):
            self._grow(end)
        self._map[begin:end] = line
        self._end = end

    def forget(self, rest: Iterable[Settled]) -> None:
        """All but `rest` is in the tables now. Raises OSError where the disk is full."""
        if self._end == _HEAD:
            return
        rest = tuple(rest)
        if len(self._map) > MOST_BYTES:
            before = self._file, self._map
            self._file, self._map = self._made(rest)
            _let_go(*before)
        elif not rest:
            # No line stands under either number while it is written.
            self._generation = (self._generation + 1) & 0xFFFFFFFF
            self._map[:_HEAD] = b"%08x" % self._generation
            self._end = _HEAD

    def close(self, *, keep: bool) -> None:
        """With `keep`, whoever comes next reads it as a dead process's."""
        if not keep:
            self._path.unlink(missing_ok=True)
        _let_go(self._file, self._map)

    def _made(self, rest: Iterable[Settled]) -> tuple[int, mmap.mmap]:
        file = os.open(self._unseen, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = b"%08x" % self._generation + b"".join(_line(settled, self._generation) for settled in rest)
            _fill(file, 0, lines.ljust(FIRST_BYTES, b"\0"))
            made = mmap.mmap(file, 0)
            # Seen only when it is locked: nobody ever takes a new file for a dead process's.
            self._unseen.rename(self._path)
        except OSError:
            os.close(file)
            self._unseen.unlink(missing_ok=True)
            raise
        self._end = len(lines)
        return file, made

    def _grow(self, least: int) -> None:
        size = len(self._map)
        _fill(self._file, size, bytes(max(least - size, size)))
        self._map.close()
        self._map = mmap.mmap(self._file, 0)


def _fill(file: int, at: int, data: bytes) -> None:
    """Writes what will be mapped: of a place that the disk has given, a full disk takes nothing back."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, at)
        at += written
        rest = rest[written:]


def _let_go(file: int, mapped: mmap.mmap) -> None:
    mapped.close()
    os.close(file)


def _line(settled: Settled, generation: int) -> bytes:
    text = _encode(settled)
    return b"\n%08x %b\n" % (zlib.crc32(text, generation), text)


def read(data: bytes) -> Iterator[Settled]:
    """Every whole line of the file's generation, wherever a kill cut the others."""
    head = _GENERATION.match(data)
    # Before there were generations, files began with their first line.
    generation = int(head[0], 16) if head is not None else 0
    for line in data.split(b"\n"):
        mark, _, text = line.partition(b" ")
        if len(mark) == 8 and b"%08x" % zlib.crc32(text, generation) == mark:
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

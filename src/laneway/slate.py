"""The slate: a mapped file beside the store on which the workers of one machine tell each other of their providers.

Owns: the file's layout, one lock for whoever reads or writes it, each worker's own rows, the breakers that all share,
and finding out who lives: a worker holds a lock on a file of its own, which the system lets go of however it ends.
Refuses: to know what a share means (policy), or to be the truth of anything: when no worker lives it is wiped.

A kill leaves nothing that others believe: rows of the dead are not read, and what is shared is written beside what
holds and then put in its place by one word.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from laneway.policy.share import Other, Share

WORKERS: Final = 256
HOSTS: Final = 64
"""Providers that count anything; those beyond are counted by each worker alone."""
ROW: Final = 4096
ROOM: Final = ROW - 16
"""Bytes of one share, encoded."""
AREA: Final = 128 * 1024
_PAGE: Final = 4096
_SECTION: Final = HOSTS * ROW
_ROWS: Final = _PAGE + 2 * AREA
_MADE: Final = 0x4C41_4E45_5741_5931
_MEMBERS, _BREAKERS, _MARKS = 1, 2, 8
_PLACES: Final = _MARKS + HOSTS
_TAKEN: Final = 8 * (_PLACES + HOSTS)
_TRY: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
_flock = ctypes.PyDLL(None).flock
_HEAD = struct.Struct("<dI")
_LOOKED = struct.Struct("<d")
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Share).decode


class Slate:
    """One worker's hold of the file. Raises OSError where there can be none. As a context: nobody else changes it."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(f"{store.name}-hosts-1")
        self.closed = False
        self._members = -1
        self._others: tuple[int, ...] = ()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.fstat(self._file).st_size < _ROWS:
                _fill(self._file, 0, _ROWS)
            self._head = mmap.mmap(self._file, _ROWS)
            self._words = memoryview(self._head)[:_PAGE].cast("Q")
            self._taken = memoryview(self._head)[_TAKEN : _TAKEN + WORKERS]
            self.number, self._life = self._joined()
            self._rows = mmap.mmap(self._file, 0)
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> None:
        # Python's own call lets other threads run, which may then keep this one waiting with the lock in its hand.
        if _flock(self._file, _TRY):
            fcntl.flock(self._file, fcntl.LOCK_EX)
        if self._words[_MEMBERS] != self._members:
            self._meet()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flock(self._file, fcntl.LOCK_UN)

    # --- shares; all but `look` and the marks while the slate is held ----------------------------------------

    def place(self, provider: str) -> int | None:
        """Where a provider's rows are; None: there is no room for another."""
        digest = int.from_bytes(hashlib.blake2b(provider.encode(), digest_size=8).digest()) or 1
        for place in range(HOSTS):
            found = self._words[_PLACES + place]
            if not found:
                self._words[_PLACES + place] = digest
            if found in (0, digest):
                return place
        return None

    def mark(self, place: int) -> int:
        """Another one whenever somebody has written a share of the provider."""
        return self._words[_MARKS + place]

    def shares(self, place: int) -> list[Other]:
        """What the other workers have of a provider."""
        found: list[Other] = []
        for number in self._others:
            begin = _ROWS + number * _SECTION + place * ROW
            looked_s, length = _HEAD.unpack_from(self._rows, begin)
            if length:
                try:
                    share = _decode(self._rows[begin + 16 : begin + 16 + length])
                except msgspec.DecodeError:
                    continue  # Killed while it wrote: it has nothing any more.
                found.append(Other(number, looked_s, share))
        return found

    def tell(self, place: int, share: Share, keep: Collection[str]) -> None:
        """Writes this worker's share; the lanes of `keep` have reserved slots and are counted by name in any case."""
        text = _encode(share)
        if len(text) > ROOM:
            text = _encode(_folded(share, keep))
        begin = self._begin(place)
        self._rows[begin + 16 : begin + 16 + len(text)] = text
        _LENGTH.pack_into(self._rows, begin + 8, len(text))
        self._words[_MARKS + place] += 1

    def look(self, place: int, now_s: float) -> None:
        """Says that this worker, where somebody waits, looked just now."""
        _LOOKED.pack_into(self._rows, self._begin(place), now_s)

    def _begin(self, place: int) -> int:
        return _ROWS + self.number * _SECTION + place * ROW

    # --- breakers ------------------------------------------------------------------------------------------

    def breakers_mark(self) -> int:
        return self._words[_BREAKERS]

    def breakers(self) -> bytes:
        begin = _area(self._words[_BREAKERS])
        (length,) = _LENGTH.unpack_from(self._head, begin)
        return self._head[begin + 4 : begin + 4 + length]

    def tell_breakers(self, text: bytes) -> int:
        """Puts them in the place of those before, and returns the new mark. They must fit into AREA - 4."""
        mark = self._words[_BREAKERS] + 1
        begin = _area(mark)
        self._head[begin + 4 : begin + 4 + len(text)] = text
        _LENGTH.pack_into(self._head, begin, len(text))
        self._words[_BREAKERS] = mark
        return mark

    # --- who lives -----------------------------------------------------------------------------------------

    def bury(self) -> int:
        """Takes from the dead what they had, and says how many there were."""
        dead = [number for number in range(WORKERS) if self._taken[number] and number != self.number]
        dead = [number for number in dead if self._is_dead(number)]
        for number in dead:
            self._taken[number] = 0
        if dead:
            self._tell_members()
            self._meet()
        return len(dead)

    def close(self) -> None:
        """Gives everything back."""
        if self.closed:
            return
        self.closed = True
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._taken[self.number] = 0
        self._tell_members()
        self._life_path(self.number).unlink(missing_ok=True)
        self._words.release()
        self._taken.release()
        self._head.close()
        self._rows.close()
        os.close(self._life)
        os.close(self._file)

    def _joined(self) -> tuple[int, int]:
        """A free number, and the lock that says that it is in use."""
        taken = [number for number in range(WORKERS) if self._taken[number]]
        living = {number for number in taken if not self._is_dead(number)} if self._words[0] == _MADE else set()
        if not living:
            self._head[:_ROWS] = bytes(_ROWS)
            self._words[0] = _MADE
        for number in range(WORKERS):
            self._taken[number] = number in living
        for number in range(WORKERS):
            if number not in living and (life := self._begun(number)) is not None:
                _fill(self._file, _ROWS + number * _SECTION, _SECTION)
                self._taken[number] = 1
                self._tell_members()
                return number, life
        raise OSError(f"there are {WORKERS} workers already")

    def _begun(self, number: int) -> int | None:
        life = os.open(self._life_path(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(life)
            return None
        return life

    def _is_dead(self, number: int) -> bool:
        life = self._begun(number)
        if life is None:
            return False
        self._life_path(number).unlink(missing_ok=True)
        os.close(life)
        return True

    def _life_path(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _tell_members(self) -> None:
        for word in (_MEMBERS, *range(_MARKS, _MARKS + HOSTS)):
            self._words[word] += 1

    def _meet(self) -> None:
        """Somebody came or went."""
        self._members = self._words[_MEMBERS]
        self._others = tuple(n for n in range(WORKERS) if self._taken[n] and n != self.number)
        if len(self._rows) < _ROWS + (max(self._others, default=0) + 1) * _SECTION:
            self._rows.close()
            self._rows = mmap.mmap(self._file, 0)


def _area(mark: int) -> int:
    return _PAGE + (mark & 1) * AREA


def _fill(file: int, begin: int, count: int) -> None:
    """Writes what will be mapped: of a place that the disk has given, a full disk takes nothing back."""
    while count:
        written = os.pwrite(file, bytes(min(count, 1 << 18)), begin)
        begin, count = begin + written, count - written


def _folded(share: Share, keep: Collection[str]) -> Share:
    """The same in less room: lanes without reserved slots count alike, and a model without a name fits nowhere."""
    lanes = {lane: count for lane, count in share.lanes.items() if lane in keep}
    lanes[""] = sum(share.lanes.values()) - sum(count for lane, count in lanes.items() if lane)
    busy = {"": (sum(count for count, _ in share.busy.values()), 0)}
    return Share(lanes, busy, {}, share.granted_s)

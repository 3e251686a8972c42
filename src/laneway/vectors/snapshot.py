"""Snapshots: shelves as files beside the store, so that a restart need not build them again.

Owns: a file for each tenant, replaced at one stroke, and what is read back: whole, of this memory, of this space, or
not at all. Refuses: texts (a snapshot holds vectors, labels and the names of tags), and outliving a deletion: whoever
removes rows removes the file.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

MAGIC = b"LWSHELF1"
MOST_HEAD = 16 << 20
_SIZES = struct.Struct("<8sI32s")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows are of."""

    tenant: str
    origin: str
    place: str
    """The space and what searches it; in another one the rows are of no use."""
    trust: dict[str, float]
    """What the labels of each source counted."""
    dims: int
    edition: int
    columns: dict[str, int]
    tags: dict[str, int]


_decode = msgspec.msgpack.Decoder(Head).decode
_encode = msgspec.msgpack.Encoder().encode


class Snapshots:
    """The files of one folder; every verb is for a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, head: Head, rows: bytes) -> None:
        """`rows` are the core's, with a checksum of their own. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        packed = _encode(head)
        fresh = self._path(head.tenant).with_suffix(f".{os.getpid()}")
        try:
            # Vectors say roughly what was taught: for the owner only, as the store itself.
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(_SIZES.pack(MAGIC, len(packed), hashlib.sha256(packed).digest()))
                file.write(packed)
                file.write(rows)
            fresh.replace(self._path(head.tenant))
        finally:
            fresh.unlink(missing_ok=True)

    @contextmanager
    def read(self, tenant: str, place: str) -> Iterator[tuple[Head, memoryview] | None]:
        """None where there is none that can be used. The rows are the file itself, and valid within the block."""
        try:
            with self._path(tenant).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                head = _head(file.read(_SIZES.size), file.read)
                if head is not None and (head.tenant, head.place) == (tenant, place):
                    with memoryview(whole) as view, view[file.tell() :] as rows:
                        yield head, rows
                    return
        except (OSError, ValueError):  # an empty file cannot be mapped
            pass
        yield None

    def tenants(self) -> Iterator[str]:
        """Whose there are, the newest first."""
        with suppress(OSError):
            for path in sorted(self._folder.glob("*.shelf"), key=_age, reverse=True):
                with suppress(OSError), path.open("rb") as file:
                    head = _head(file.read(_SIZES.size), file.read)
                    if head is not None:
                        yield head.tenant

    def remove(self, tenant: str) -> None:
        with suppress(OSError):
            self._path(tenant).unlink(missing_ok=True)

    def _path(self, tenant: str) -> Path:
        return self._folder / f"{hashlib.sha256(tenant.encode()).hexdigest()[:32]}.shelf"


def _head(start: bytes, read: Callable[[int], bytes]) -> Head | None:
    if len(start) < _SIZES.size:
        return None
    magic, size, digest = _SIZES.unpack(start)
    if magic != MAGIC or size > MOST_HEAD:
        return None
    packed = read(size)
    if hashlib.sha256(packed).digest() != digest:
        return None
    try:
        return _decode(packed)
    except msgspec.MsgspecError:
        return None


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

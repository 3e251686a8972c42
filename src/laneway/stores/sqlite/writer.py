"""The one thread that writes: jobs from the loop in, committed answers back.

Owns: the queue, which jobs share a transaction, keeping one job's error from the others, and chores at quiet moments.
Refuses: to answer before the commit, to hold the file's lock for long, and to end by an error.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

from laneway.stores.sqlite.opening import failed

T = TypeVar("T")
Op: TypeAlias = Callable[[sqlite3.Connection], T]
"""Something done inside a transaction. It may run twice, once undone, so it touches nothing but tables."""
Chore: TypeAlias = Callable[[sqlite3.Connection, float], bool]
"""One small step of tidying; True when there is more to do."""

TRANSACTION_S = 0.005
"""A transaction takes further jobs in for this long; other processes and the jobs' callers wait for its end."""
CHORES_S = 60.0
PAUSE_S = 0.05
"""Between two steps of a chore that has more to do."""


class _Job(NamedTuple):
    op: Op[Any]
    done: asyncio.Future[Any]


class Answer(NamedTuple):
    """What came of a job: a value, or an error."""

    done: asyncio.Future[Any]
    value: object
    error: Exception | None


class Writer:
    """Carries out jobs in the order they were put. `answer` is called on the loop with what was committed together."""

    def __init__(
        self,
        db: sqlite3.Connection,
        chores: Sequence[Chore],
        *,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[Sequence[Answer]], None],
        clock: Callable[[], float],
    ) -> None:
        self._db = db
        self._chores = chores
        self._loop = loop
        self._answer = answer
        self._clock = clock
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # A daemon, so that a program which fails to close its store can still end; what was answered is committed.
        self._thread = threading.Thread(target=self._run, name="laneway-store", daemon=True)
        self._thread.start()

    def put(self, op: Op[T]) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(op, done))
        return done

    async def close(self) -> None:
        """Returns when all that was put before is done and the connection is closed."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        chores_s = time.monotonic() + PAUSE_S
        running = True
        while running:
            rest_s = chores_s - time.monotonic()
            if rest_s <= 0:
                chores_s = time.monotonic() + (PAUSE_S if self._tidy() else CHORES_S)
                continue
            try:
                job = self._jobs.get(timeout=rest_s)
            except Empty:
                continue
            running = job is not None and self._transact(job)
        self._db.close()

    def _transact(self, first: _Job) -> bool:
        """Carries out a job and those queued behind it in one transaction; False when the end was asked for."""
        jobs = [first]
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            # Those behind it have waited as long for the same lock; one by one, the last would wait for the sum.
            running = all(self._takes(jobs) for _ in range(self._jobs.qsize()))
            self._tell([Answer(job.done, None, failed(error)) for job in jobs])
            return running
        running = True
        try:
            values = [first.op(self._db)]
            until_s = time.monotonic() + TRANSACTION_S
            while running and self._jobs.qsize() and time.monotonic() < until_s:
                running = self._takes(jobs)
                if running:
                    values.append(jobs[-1].op(self._db))
            self._db.execute("COMMIT")
            answers = [Answer(job.done, value, None) for job, value in zip(jobs, values, strict=True)]
        except Exception:  # noqa: BLE001 - the thread outlives whatever a job runs into
            self._undo()
            answers = [self._alone(job) for job in jobs]
        self._tell(answers)
        return running

    def _takes(self, jobs: list[_Job]) -> bool:
        """Takes the next job in; False when it is the end."""
        job = self._jobs.get_nowait()
        if job is not None:
            jobs.append(job)
        return job is not None

    def _alone(self, job: _Job) -> Answer:
        """One job in a transaction of its own, because something spoiled the common one."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            value = job.op(self._db)
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            self._undo()
            return Answer(job.done, None, failed(error))
        return Answer(job.done, value, None)

    def _tidy(self) -> bool:
        more = False
        for chore in self._chores:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                more = chore(self._db, self._clock()) or more
                self._db.execute("COMMIT")
            except Exception:  # noqa: BLE001 - the thread outlives this too
                # Tidying can wait; a job that meets the same trouble tells its caller.
                self._undo()
        return more

    def _undo(self) -> None:
        if self._db.in_transaction:
            # Where even this fails, the next BEGIN does too, and its caller is told.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _tell(self, answers: Sequence[Answer]) -> None:
        # A loop that was closed without closing the store has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answer, answers)

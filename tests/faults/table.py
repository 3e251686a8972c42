"""The faults, as rows: what the provider does, and what everybody is told of it.

Owns: each fault as the bytes and silences of one call, which clock it is about, how often it is called, and what the
caller is told in a stream and in a whole answer, when nobody else can serve; and which cells there are.
Refuses: playing them (play.py does), and asking the gateway what would be right.
Before the first content, and for a stream that is held, a second, healthy target hides everything but a refusal; behind
it one can go on, if that is asked for. So neither needs a column.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from laneway.failure import Kind
from tests.fakes.upstream import response
from tests.faults.speech import BEGUN, FULL, INPUT, REFUSAL, SECRET, WORDS, Speech

RESCUES = ("error", "continue", "hold")
"""The ways of saving a stream."""
MANNERS = ("prefill", "again", "otherwise", "short")
"""What the healthy target does that is to go on: from the beginning it is given, by saying it all again, by saying
something else, or by ending before it comes to what is new."""
SCALE = 0.01
"""LANEWAY_TIMEOUT_SCALE. All clocks below, and the gaps of a drip, are in seconds after it."""
PATIENT_S = 60.0
"""A clock that a row is not about. No call may last as long, so that only the row's own clock can have ended it."""
GAP_S = 0.4


class Do(enum.Enum):
    """What a script does that is not sending."""

    HANG = "silent until the caller leaves"
    RESET = "TCP reset"
    WAIT = "silent for the gap"


Step = bytes | Do
Steps = Iterator[Step]


class Asked(NamedTuple):
    """One call, as the fault sees it."""

    speech: Speech
    model: str
    stream: bool
    call: int
    """How many calls of the same came before it."""
    given: str = ""
    """The words of the last turn, where that is the answer's own beginning."""

    def head(self, kind: bytes = b"") -> bytes:
        kind = kind or (self.speech.stream_type if self.stream else b"application/json")
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\ncontent-type: %b\r\n\r\n" % kind

    def lead(self) -> list[bytes]:
        """What comes before content."""
        return self.speech.lead(self.model) if self.stream else [b" "]

    def begun(self) -> list[bytes]:
        """The first part of an answer, BEGUN of it said."""
        if self.stream:
            return [*self.speech.lead(self.model), *(self.speech.words(self.model, words) for words in WORDS[:2])]
        return [self.speech.whole(self.model, True)[:60]]

    def pieces(self) -> list[bytes]:
        """A whole, good answer."""
        speech, model = self.speech, self.model
        if not self.stream:
            body = speech.whole(model, True)
            return [body[:20], body[20:40], body[40:60], body[60:80], body[80:100], body[100:]]
        return [*speech.lead(model), *(speech.words(model, words) for words in WORDS), *speech.tail(model)]

    def failed(self, status: int, *headers: bytes, words: str = SECRET) -> bytes:
        kind = b"content-type: application/json"
        return response(self.speech.failed(words), b"connection: close", kind, *headers, status=status)

    def says(self, words: list[str]) -> Steps:
        """A whole, good stream of these words."""
        speech, model = self.speech, self.model
        yield self.head()
        yield from map(
            chunk, [*speech.lead(model), *(speech.words(model, each) for each in words), *speech.tail(model)]
        )
        yield LAST


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST = b"0\r\n\r\n"


def well(asked: Asked) -> Steps:
    yield asked.head()
    yield from map(chunk, asked.pieces())
    yield LAST


def in_pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def goes_on(asked: Asked) -> Steps:
    yield from asked.says(in_pieces(FULL[len(asked.given) :], 3))


def says_again(asked: Asked) -> Steps:
    yield from asked.says(in_pieces(FULL, 3))


def says_otherwise(asked: Asked) -> Steps:
    yield from asked.says(["One, ", "2, ", "3."])


def says_less(asked: Asked) -> Steps:
    yield from asked.says(["One ", "tw"])


GOING_ON = dict(zip(MANNERS, (goes_on, says_again, says_otherwise, says_less), strict=True))

# --- the faults --------------------------------------------------------------------------------------------


def _limited(asked: Asked) -> Steps:
    yield asked.failed(429, b"retry-after: 33")


def _limited_shortly(asked: Asked) -> Steps:
    if asked.call:
        yield from well(asked)
    else:
        yield asked.failed(429, b"retry-after-ms: 30")


def _fails(asked: Asked) -> Steps:
    yield asked.failed(500)


def _overloaded_once(asked: Asked) -> Steps:
    if asked.call:
        yield from well(asked)
    else:
        yield asked.failed(503)


def _overloaded(asked: Asked) -> Steps:
    yield asked.failed(503)


def _never(asked: Asked) -> Steps:
    raise AssertionError("nobody can call this")


def _no_head(asked: Asked) -> Steps:
    yield Do.HANG


def _reset(asked: Asked) -> Steps:
    yield Do.RESET


def _nothing_after_head(asked: Asked) -> Steps:
    yield asked.head()
    yield Do.HANG


def _late(asked: Asked) -> Steps:
    """Signs of life and then content, but long after it was due."""
    yield asked.head()
    yield from map(chunk, asked.lead())
    yield from [Do.WAIT] * 9
    yield from map(chunk, asked.pieces()[len(asked.lead()) :])
    yield LAST


def _cut(asked: Asked) -> Steps:
    yield asked.head()
    yield from map(chunk, asked.begun())


def _stalls(asked: Asked) -> Steps:
    yield asked.head()
    yield from map(chunk, asked.begun())
    yield Do.HANG


def _error_at_once(asked: Asked) -> Steps:
    yield asked.head()
    yield chunk(asked.speech.error(SECRET) if asked.stream else asked.speech.failed(SECRET))
    yield LAST


def _error_inside(asked: Asked) -> Steps:
    yield asked.head()
    if asked.stream:
        yield from map(chunk, asked.begun())
        # Nothing is waited for behind an error.
        yield chunk(asked.speech.error(SECRET))
        yield Do.HANG
    else:
        yield chunk(asked.speech.failed(SECRET))
        yield LAST


def _malformed(asked: Asked) -> Steps:
    yield asked.head()
    pieces = asked.pieces()
    if asked.stream:
        pieces.insert(len(asked.begun()), asked.speech.garbage)
    else:
        pieces.insert(1, b'"][')
    yield from map(chunk, pieces)
    yield LAST


def _html(asked: Asked) -> Steps:
    body = f"<!doctype html><title>Sign in</title><p>{SECRET}</p>".encode()
    yield response(body, b"connection: close", b"content-type: text/html")


def _wrong_type(asked: Asked) -> Steps:
    yield asked.head(b"text/plain; charset=utf-8")
    yield from map(chunk, asked.pieces())
    yield LAST


def _refuses(asked: Asked) -> Steps:
    yield asked.failed(400, words=REFUSAL)


def _unfinished(asked: Asked) -> Steps:
    yield asked.head()
    yield from map(chunk, asked.begun() if asked.stream else [asked.speech.whole(asked.model, False)])
    yield LAST


def _drips(asked: Asked) -> Steps:
    yield asked.head()
    for place, piece in enumerate(asked.pieces()):
        if place:
            yield Do.WAIT
        yield chunk(piece)
    yield LAST


# --- the rows ----------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """What the caller is told: the failure, and which words came before it. No kind: the whole answer."""

    kind: Kind | None = None
    text: str = ""

    @property
    def silent(self) -> bool:
        """It happened before the first content, so that a next target hides it."""
        return self.kind is not None and not self.text


WHOLE = Told()


class Row(NamedTuple):
    name: str
    does: Callable[[Asked], Steps]
    streamed: Told
    """In a stream, with no other target."""
    whole: Told
    """In an answer that is not streamed, with no other target."""
    beside: Told | None = None
    """In either, with another target behind it, where that makes a difference; it is called once then."""
    clocks: Mapping[str, float] = {}
    calls: int = 1
    """How often the provider is called."""
    place: str = "bad"
    """Where it stands: where fakes answer (`bad`), where nobody listens, or where nobody accepts."""
    retry_after: str | None = None
    """What the caller is told to wait."""
    final: bool = False
    """An answer: never routed around."""
    recovers: bool = False
    """With another target behind it, the next request is served by the same one, with one call more."""
    reported: Mapping[str, int] = {}
    """Prompt tokens that a provider of this dialect told of a stream before it failed."""


_TIMEOUT = Told(Kind.TIMEOUT)
_SOON_S = 0.4
# The limit for first content runs from the start and allows for the time to connect, so that one is short as well.
_FIRST = {"connect": 2.0, "headers": 2.0, "first_content": _SOON_S, "between_chunks": _SOON_S}

ROWS = (
    Row("429 with Retry-After", _limited, Told(Kind.RATE_LIMITED), Told(Kind.RATE_LIMITED), retry_after="33"),
    Row("429 with a short wait, then well", _limited_shortly, WHOLE, WHOLE, calls=2),
    Row("500", _fails, Told(Kind.UPSTREAM_ERROR), Told(Kind.UPSTREAM_ERROR), calls=2),
    Row("503, then well", _overloaded_once, WHOLE, WHOLE, calls=2, beside=Told(Kind.OVERLOADED), recovers=True),
    Row(
        "503 that stays",
        _overloaded,
        Told(Kind.OVERLOADED),
        Told(Kind.OVERLOADED),
        calls=2,
        beside=Told(Kind.OVERLOADED),
    ),
    Row("connection refused", _never, Told(Kind.CONNECT), Told(Kind.CONNECT), calls=0, place="closed"),
    Row("connection reset", _reset, Told(Kind.RESET), Told(Kind.RESET), calls=2),
    Row("connect hangs", _never, _TIMEOUT, _TIMEOUT, calls=0, place="deaf", clocks={"connect": _SOON_S}),
    Row("headers never come", _no_head, _TIMEOUT, _TIMEOUT, clocks={"headers": _SOON_S}),
    Row("200 and nothing after", _nothing_after_head, _TIMEOUT, _TIMEOUT, clocks=_FIRST),
    Row("first content too late", _late, _TIMEOUT, _TIMEOUT, clocks=_FIRST, reported={"anthropic": INPUT}),
    Row("cut in the middle", _cut, Told(Kind.CUT, BEGUN), Told(Kind.CUT)),
    Row(
        "stall in the middle",
        _stalls,
        Told(Kind.TIMEOUT, BEGUN),
        _TIMEOUT,
        clocks={"between_chunks": _SOON_S},
    ),
    Row("200 with an error instead", _error_at_once, Told(Kind.UPSTREAM_ERROR), Told(Kind.UPSTREAM_ERROR)),
    Row("200 with an error inside", _error_inside, Told(Kind.UPSTREAM_ERROR, BEGUN), Told(Kind.UPSTREAM_ERROR)),
    Row("malformed chunk", _malformed, WHOLE, Told(Kind.MALFORMED_ANSWER)),
    Row("HTML", _html, Told(Kind.MALFORMED_ANSWER), Told(Kind.MALFORMED_ANSWER)),
    Row("wrong content type", _wrong_type, WHOLE, WHOLE),
    Row("policy refusal", _refuses, Told(Kind.REFUSED), Told(Kind.REFUSED), final=True),
    Row("finish missing, closed cleanly", _unfinished, Told(Kind.CUT, BEGUN), Told(Kind.CUT)),
    Row("slow drip", _drips, WHOLE, WHOLE, clocks={"between_chunks": 4 * GAP_S}),
)


class Shape(NamedTuple):
    """How a front tells a kind: the status, and the word for its class where the format has one."""

    openai: tuple[int, str]
    anthropic: tuple[int, str]
    ollama: tuple[int, str]

    @property
    def responses(self) -> tuple[int, str]:
        return self.openai


SHAPES: Mapping[Kind, Shape] = {
    Kind.RATE_LIMITED: Shape((429, "rate_limit_error"), (429, "rate_limit_error"), (429, "")),
    Kind.UPSTREAM_ERROR: Shape((502, "server_error"), (502, "api_error"), (502, "")),
    Kind.OVERLOADED: Shape((503, "server_error"), (529, "overloaded_error"), (503, "")),
    Kind.CONNECT: Shape((502, "server_error"), (502, "api_error"), (502, "")),
    Kind.RESET: Shape((502, "server_error"), (502, "api_error"), (502, "")),
    Kind.TIMEOUT: Shape((504, "server_error"), (504, "timeout_error"), (504, "")),
    Kind.CUT: Shape((502, "server_error"), (502, "api_error"), (502, "")),
    Kind.MALFORMED_ANSWER: Shape((502, "server_error"), (502, "api_error"), (502, "")),
    Kind.REFUSED: Shape((400, "invalid_request_error"), (400, "invalid_request_error"), (400, "")),
}


# --- what is played ----------------------------------------------------------------------------------------

FRONTS = ("openai", "responses", "anthropic", "ollama")
_NEXT = dict(zip(FRONTS, (*FRONTS[1:], FRONTS[0]), strict=True))


class Cell(NamedTuple):
    """One row at one front: by which dialect the provider speaks, streamed or not, with a healthy target behind it, and
    how a stream is to be saved. `healthy` is that target's dialect, `manner` what it does with a begun answer."""

    row: Row
    front: str
    speaks: str
    stream: bool
    beside: bool
    healthy: str
    rescue: str = "error"
    manner: str = ""

    @property
    def name(self) -> str:
        """Also of the lane and of the failing model, so that whatever is seen anywhere belongs to one cell."""
        form = "stream" if self.stream else "whole"
        word = "".join(letter if letter.isalnum() else "-" for letter in self.row.name.lower())
        behind = f"beside-{self.healthy}" if self.beside else "alone"
        manner = f"-{self.manner}" if self.manner else ""
        return f"{word}-{self.front}-{self.speaks}-{form}-{behind}-{self.rescue}{manner}"

    @property
    def told(self) -> Told:
        """By the failing target."""
        if self.beside and self.row.beside is not None:
            return self.row.beside
        told = self.row.streamed if self.stream else self.row.whole
        # Of a stream that is held nobody is told the beginning.
        return Told(told.kind) if self.rescue == "hold" else told

    @property
    def begins(self) -> bool:
        """Some of the answer comes before the fault."""
        return bool(self.row.streamed.text) and self.stream

    @property
    def calls(self) -> int:
        """How often the failing target is called."""
        return 1 if self.beside and self.row.beside is not None else self.row.calls

    @property
    def routed(self) -> bool:
        """The healthy target answers."""
        return self.beside and self.told.silent and not self.row.final

    @property
    def resumed(self) -> bool:
        """It is asked to go on with what the failing one has begun."""
        return bool(self.manner)

    @property
    def continued(self) -> bool:
        """And does."""
        return self.manner in ("prefill", "again")


def _manners(row: Row, rescue: str, *, beside: bool) -> Iterator[tuple[str, str]]:
    """The healthy target's dialect, by that of the failing one, and what it does."""
    if rescue == "continue" and beside and row.streamed.text:
        return product(FRONTS, MANNERS)
    return iter([("", "")])


CELLS = tuple(
    Cell(row, front, speaks, stream, beside, healthy or _NEXT[speaks], rescue, manner)
    for row in ROWS
    for front in FRONTS
    # Every provider's bytes pass once as they came and once into another format: the neutral types are in between.
    for speaks in (front, _NEXT[front])
    for stream in (True, False)
    for beside in (False, True)
    for rescue in (RESCUES if stream else RESCUES[:1])
    for healthy, manner in _manners(row, rescue, beside=beside)
)
"""All there are."""


def _covers(cell: Cell) -> bool:
    if cell.rescue == RESCUES[0]:
        return True
    if cell.resumed:
        return cell.row.does is _cut or (cell.manner, cell.healthy) == ("again", _NEXT[cell.speaks])
    return cell.speaks == cell.front


SAMPLE = tuple(cell for cell in CELLS if _covers(cell))
"""What the tests play: every row with every rescue at every front, and every way to go on between all formats once."""

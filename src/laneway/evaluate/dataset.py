"""Labelled prompts from a file: one JSON object a line, gzipped or not.

Owns: reading and checking them, naming the line and the field where something is wrong, and laying scores and costs out
as arrays for the models that are compared.
Refuses: guessing. A row has a prompt and scores from 0 to 1 by model; `task` and `cost` may be missing or null, and a
cost that is null is unknown.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

FEWEST_ROWS = 40
"""Fewer leave a split nothing to learn from, or nothing to test with."""


GZIP = b"\x1f\x8b"
"""What every gzip file begins with (RFC 1952, 2.3.1)."""


class DatasetError(Exception):
    """A file that cannot be evaluated; the message says which line and what to do."""


class Row(msgspec.Struct, frozen=True):
    prompt: str
    scores: dict[str, float | None]
    task: str | None = None
    cost: dict[str, float | None] | None = None


class Pool(msgspec.Struct, frozen=True):
    """What is compared: prompts with one column of scores and costs per model, NaN where there is none."""

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    tags: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    costs_usd: npt.NDArray[np.float64]
    strong: int
    cheap: int

    @property
    def price_known(self) -> bool:
        return bool((~np.isnan(self.costs_usd)).any(axis=0).all())


def read(path: Path, tag: str | None = None) -> tuple[list[Row], list[str]]:
    """Rows and, where a field is named for it, the tag of each."""
    rows: list[Row] = []
    tags: list[str] = []
    for number, line in enumerate(lines_of(path), 1):
        if line.strip():
            rows.append(_row(line, number))
            tags.append(_tag(line, number, tag) if tag else "")
    if not rows:
        raise DatasetError(f"{path} holds no rows.")
    return rows, tags


def lines_of(path: Path) -> Iterator[bytes]:
    """A file's lines, gzipped or not; what is wrong with it is a DatasetError."""
    try:
        yield from _lines(path)
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise DatasetError(f"{path} is a folder; name a file of JSON lines.") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise DatasetError(f"{path} is named like a gzip file, but is none, or is cut off.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as plain:
        begun = plain.read(len(codecs.BOM_UTF8))
        plain.seek(0)
        if path.suffix == ".gz" or begun.startswith(GZIP):
            with gzip.open(plain) as packed:
                yield from _unmarked(packed)
        else:
            yield from _unmarked(plain)


def _unmarked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Some editors begin a file with a byte order mark, which is no part of its first line."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(codecs.BOM_UTF8)


def _row(line: bytes, number: int) -> Row:
    try:
        row = msgspec.json.decode(line, type=Row)
    except msgspec.DecodeError as error:  # ValidationError, which says where in the row, is one
        raise DatasetError(f"Line {number}: {error}.") from None
    except UnicodeDecodeError:
        raise DatasetError(f"Line {number}: this is no UTF-8.") from None
    for model, score in row.scores.items():
        if score is not None and not 0 <= score <= 1:
            raise DatasetError(f"Line {number}: the score of {model} is {score}; scores run from 0 to 1.")
    for model, usd in (row.cost or {}).items():
        if usd is not None and not 0 <= usd < float("inf"):
            raise DatasetError(f"Line {number}: the cost of {model} is {usd}; give USD per request, or null.")
    return row


def _tag(line: bytes, number: int, field: str) -> str:
    value = msgspec.json.decode(line).get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DatasetError(f"Line {number}: {field} is no text, so that it cannot be a tag.")
    return value


def select(rows: Sequence[Row], tags: Sequence[str], models: Sequence[str], strong: str | None = None) -> Pool:
    """The chosen models' columns. With none chosen: both of two; of more, the cheapest and the best; where prices are
    not known, the better is taken to be the dearer."""
    known = sorted({model for row in rows for model, score in row.scores.items() if score is not None})
    for model in models:
        if model not in known:
            raise DatasetError(f"No row has a score for {model!r}. There are scores for: {', '.join(known)}.")
    if len(set(models)) != len(models):
        raise DatasetError("A model is named twice.")
    if len(models) == 1 or len(known) < 2:
        raise DatasetError("Routing needs at least two models.")
    chosen = tuple(models) or _two_of(rows, known)
    scores, costs = _columns(rows, chosen)
    kept = np.flatnonzero((~np.isnan(scores)).any(axis=1)).tolist()
    if len(kept) < FEWEST_ROWS:
        raise DatasetError(f"Only {len(kept)} rows have scores for {', '.join(chosen)}; {FEWEST_ROWS} are needed.")
    if int((~np.isnan(scores)).all(axis=1).sum()) < FEWEST_ROWS // 2:
        raise DatasetError(f"Fewer than {FEWEST_ROWS // 2} rows have scores for all of: {', '.join(chosen)}.")
    scores, costs = scores[kept], costs[kept]
    means = np.nanmean(scores, axis=0)
    prices = _mean_costs(costs)
    best = chosen.index(strong) if strong is not None else int(np.lexsort((prices, -means))[0])
    return Pool(
        models=chosen,
        prompts=tuple(rows[at].prompt for at in kept),
        tasks=tuple(rows[at].task or "" for at in kept),
        tags=tuple(tags[at] for at in kept),
        scores=scores,
        costs_usd=costs,
        strong=best,
        cheap=int(np.argmin(prices)),
    )


def _columns(rows: Sequence[Row], models: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    scores = np.array([[_number(row.scores.get(model)) for model in models] for row in rows], np.float32)
    costs = np.array([[_number((row.cost or {}).get(model)) for model in models] for row in rows], np.float64)
    return scores, costs


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _two_of(rows: Sequence[Row], known: Sequence[str]) -> tuple[str, ...]:
    """The cheaper or worse first."""
    scores, costs = _columns(rows, known)
    means = np.nanmean(scores, axis=0)
    priced = np.flatnonzero((~np.isnan(costs)).any(axis=0))
    if len(known) == 2 and len(priced) == 2:
        return tuple(known)
    if len(priced) < 2 or len(known) == 2:
        return known[int(means.argmin())], known[int(len(means) - 1 - means[::-1].argmax())]
    prices = _mean_costs(costs[:, priced])
    best = int(priced[np.lexsort((prices, -means[priced]))[0]])
    low = int(priced[prices.argmin()])
    if low == best:
        raise DatasetError(f"{known[best]} is both the cheapest and the best model. Name others with --pool.")
    return known[low], known[best]


def _mean_costs(costs_usd: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean cost per model; the order of the models stands in where a price is unknown."""
    known = ~np.isnan(costs_usd)
    if not known.any(axis=0).all():
        return np.arange(1.0, costs_usd.shape[1] + 1)
    means: npt.NDArray[np.float64] = np.nansum(costs_usd, axis=0) / known.sum(axis=0)
    return means


def gathered(pool: Pool, order: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The same order with twins (space and case aside) moved up to the first place of their prompt, and that place."""
    first: dict[str, int] = {}
    texts = (" ".join(pool.prompts[row].split()).casefold() for row in order.tolist())
    places = np.array([first.setdefault(text, at) for at, text in enumerate(texts)], np.intp)
    moved = np.argsort(places, kind="stable")
    return order[moved], places[moved]


def mean_costs(pool: Pool, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """What each model costs on the average of these rows, in USD; of all rows, where these do not say it."""
    if not pool.price_known:
        return np.arange(1.0, len(pool.models) + 1)
    known = ~np.isnan(pool.costs_usd[rows])
    if known.any(axis=0).all():
        return _mean_costs(pool.costs_usd[rows])
    sums = np.nansum(pool.costs_usd[rows], axis=0)
    counts = known.sum(axis=0)
    means: npt.NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), _mean_costs(pool.costs_usd))
    return means

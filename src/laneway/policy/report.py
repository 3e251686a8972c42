"""A usage report: what was asked for, read from text, and the answer written as JSON, CSV or cells of a table.

Owns: the words of the question (`by`, `from`, `to`, filters), which of them are wrong and why, and the columns.
Refuses: adding up (usage does), answering over the network, and formulas: a cell that a spreadsheet would carry out is
written so that it is text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from laneway.failure import Kind, fail
from laneway.policy.price import nanos_to_usd
from laneway.policy.usage import day_of
from laneway.ports import LABELS, Figures, Question, Tally

USUAL_DAYS = 30
MOST_DAYS = 3660


def read_question(asked: Mapping[str, str], *, usual: Sequence[str], now_s: float) -> Question:
    """From `group_by`, `from` and `to` (both included) and filters by label. Raises FailureError naming the field."""
    last = _day(asked, "to", day_of(now_s))
    first = _day(asked, "from", (date.fromisoformat(last) - timedelta(days=USUAL_DAYS - 1)).isoformat())
    if first > last:
        raise fail(Kind.BAD_REQUEST, f"from: {first} is after {last}, the last day asked for.", field="from")
    if (date.fromisoformat(last) - date.fromisoformat(first)).days >= MOST_DAYS:
        raise fail(Kind.BAD_REQUEST, f"from: a report is of at most {MOST_DAYS} days.", field="from")
    named = asked.get("group_by")
    by = tuple(usual) if named is None else tuple(filter(None, (name.strip() for name in named.split(","))))
    for name in by:
        if name not in LABELS or by.count(name) > 1:
            wrong = "is there twice" if name in LABELS else "is no label"
            raise fail(
                Kind.BAD_REQUEST, f"group_by: '{name[:40]}' {wrong}; the labels are {_LABELS}.", field="group_by"
            )
    where: dict[str, str] = {}
    for name, value in asked.items():
        if name in LABELS[1:]:
            where[name] = value
        elif name not in ("group_by", "from", "to", "format"):
            known = f"group_by, from, to, format, and the filters {', '.join(LABELS[1:])}"
            raise fail(Kind.BAD_REQUEST, f"{name[:40]}: there is no such parameter; known: {known}.", field=name[:40])
    return Question(by, first, last, where)


_LABELS = ", ".join(LABELS)


def _day(asked: Mapping[str, str], name: str, usual: str) -> str:
    text = asked.get(name) or usual
    try:
        good = date.fromisoformat(text).isoformat() == text
    except ValueError:
        good = False
    if not good or text < "1970-02-01":
        raise fail(Kind.BAD_REQUEST, f"{name}: expected a day as 2026-01-31, got '{text[:40]}'.", field=name)
    return text


def as_object(question: Question, lines: Sequence[Tally]) -> dict[str, object]:
    """The report for a program."""
    return {
        "object": "usage",
        "from": question.first,
        "to": question.last,
        "group_by": list(question.by),
        "data": [
            {**{name: label or None for name, label in zip(question.by, labels, strict=True)}, **shown(figures)}
            for labels, figures in lines
        ],
        "total": shown(total(lines)),
    }


def as_csv(question: Question, lines: Sequence[Tally]) -> str:
    """The report for a spreadsheet, as RFC 4180 has it."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([*question.by, *shown(Figures())])
    for labels, figures in lines:
        writer.writerow([*map(_inert, labels), *shown(figures).values()])
    return written.getvalue()


def as_cells(question: Question, lines: Sequence[Tally]) -> list[tuple[str, ...]]:
    """The report for a person: a row of headings, the rows, and their total."""
    empty = shown(Figures())
    headings = (*question.by, *(name.removesuffix("_tokens").replace("_usd", " USD") for name in empty))
    rows = [(*(label or "-" for label in labels), *map(str, shown(figures).values())) for labels, figures in lines]
    if question.by:
        named = ("total", *[""] * (len(question.by) - 1))
        rows.append((*named, *map(str, shown(total(lines)).values())))
    return [headings, *rows]


def total(lines: Sequence[Tally]) -> Figures:
    made = Figures()
    for line in lines:
        made = made.plus(line.figures)
    return made


def shown(figures: Figures) -> dict[str, object]:
    """Figures as reports say them; amounts are exact decimals, as text."""
    return {
        "requests": figures.requests,
        "failures": figures.failures,
        "input_tokens": figures.input,
        "cached_tokens": figures.cached,
        "output_tokens": figures.output,
        "cost_usd": nanos_to_usd(figures.cost_nanos),
        "saved_usd": nanos_to_usd(figures.dearest_nanos - figures.cost_nanos),
    }


def _inert(text: str) -> str:
    # Callers choose their projects, and a spreadsheet carries out what begins like a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

"""What an evaluation found, as text for a person and as JSON for a program.

Owns: the table, the sentences below it, and the JSON keys, which are stable. Refuses: computing what it shows.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from laneway.evaluate.checks import FloorCheck, Unseen
from laneway.evaluate.contenders import WORDS
from laneway.evaluate.trial import Figures
from laneway.policy.verdict import Verdict


class Report(msgspec.Struct, frozen=True, kw_only=True):
    data: str
    examples: int
    models: tuple[str, ...]
    cheap: str
    strong: str
    tag: str | None
    splits: int
    rules: list[Figures]
    floor: FloorCheck
    verdict: Verdict
    unseen: Unseen | None


HEAD = ("rule", "n", "gain", "95 % interval", "APGR", "quality", "USD/1k", "cost95", "cost98", "bill gain")


def write_json(report: Report, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def table(report: Report) -> str:
    rows = [HEAD, *(_cells(figures) for figures in report.rules)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *others]).rstrip())
    return "\n".join(lines)


def _cells(figures: Figures) -> tuple[str, ...]:
    learned = figures.n > 0
    single = figures.rule in ("cheap", "strong")
    interval = "" if figures.gain_lo == figures.gain_hi else f"{figures.gain_lo:+.2f} .. {figures.gain_hi:+.2f}"
    return (
        WORDS.get(figures.rule, figures.rule),
        f"{figures.n:,}" if learned else "",
        "" if single else f"{figures.gain:+.2f}",
        interval,
        f"{figures.apgr:.3f}",
        f"{figures.quality:.3f}",
        "" if figures.cost_usd is None else f"{figures.cost_usd * 1000:.3f}",
        _share(figures.cost95),
        _share(figures.cost98),
        "" if figures.gain_bill is None or single else f"{figures.gain_bill:+.2f}",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def head(report: Report) -> str:
    others = [model for model in report.models if model not in (report.cheap, report.strong)]
    between = f", {', '.join(others)}" if others else ""
    tag = f', tagged by "{report.tag}"' if report.tag else ""
    return (
        f"{report.data}: {report.examples:,} prompts, {report.cheap} (cheap){between}, {report.strong} (strong)"
        f"{tag}; {report.splits} splits, 30 % judged"
    )


LEGEND = """\
gain: mean height of the cost-quality curve above the best mixtures of single models, in points of quality.
APGR: mean share of the way from the cheap to the strong; 0.5 is mixing two at random. quality and USD/1k: half way
between the two bills. cost95, cost98: share of the strong's bill that keeps 95 % and 98 % of its quality. bill gain:
the gain by what each prompt really cost. kNN and clusters see our vector of the text alone."""


def sentences(report: Report) -> str:
    floor = report.floor
    saved = "" if floor.bill is None else f", and the bill fell by {100 * (1 - floor.bill):.0f} %"
    kept = (
        f"Floor {floor.target:.0%} at {floor.labels} labels: {floor.below_97} of {floor.runs} runs kept less than"
        f" {floor.target - 0.01:.0%}; {floor.kept:.1%} of the quality was kept on average{saved}."
    )
    lines = [kept]
    if report.unseen is not None:
        lines.append(
            f"Unseen kinds (whole groups left out, {report.unseen.groups} groups): gain {report.unseen.gain:+.2f};"
            f" {report.unseen.novel:.0%} of their prompts are recognised as new and go to the default"
            " (10 % of familiar ones)."
        )
    return "\n".join([*lines, report.verdict.sentence])

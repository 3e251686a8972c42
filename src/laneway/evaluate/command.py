"""`laneway eval`: its arguments, its progress, and what it prints.

Owns: reading the command line and putting the parts of this room together. It writes to the streams it is given.
Refuses: loading anything heavy before the command is really run, and an exit code other than 0 for a verdict of no.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laneway.evaluate.dataset import Pool, Row
    from laneway.evaluate.trial import Plan, Trial

RULES = ("cheap", "strong", "random", "length", "knn5", "clusters16", "ours", "oracle")
BAR = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="FILE", help="labelled prompts: JSON lines, .gz or not")
    parser.add_argument("--cheap", metavar="MODEL", help="the cheap one of two models to compare")
    parser.add_argument("--strong", metavar="MODEL", help="the strong one")
    parser.add_argument("--pool", type=_names, metavar="A,B,C", help="two models or more to choose from")
    parser.add_argument(
        "--n", type=_sizes, default="50,100,250,1000,all", metavar="N,..", help="labels to learn from (or: all)"
    )
    parser.add_argument("--tag", metavar="FIELD", help="the field that says a prompt's kind, such as task")
    parser.add_argument(
        "--floor", type=_share, default=0.98, help="share of the strong's quality to keep (default .98)"
    )
    parser.add_argument("--splits", type=_count, default=5, help="how often to draw prompts to learn from (default 5)")
    parser.add_argument("--rules", type=_rules, default=",".join(RULES), metavar="RULE,..", help="which to compare")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw the cost-quality curves")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) < 2:
        raise argparse.ArgumentTypeError("name at least two models, with commas between them")
    return names


def _sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for word in text.split(","):
        if word.strip() == "all":
            sizes.append(0)
        elif word.strip().isdecimal() and 10 <= int(word) <= 10_000_000:
            sizes.append(int(word))
        else:
            raise argparse.ArgumentTypeError(f"expected numbers from 10 on, or all, with commas; got {word[:20]!r}")
    return tuple(sizes)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 1000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1000, got {text[:20]!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0, up to 1, such as .98; got {text[:20]!r}")
    return value


def _rules(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in RULES:
            raise argparse.ArgumentTypeError(f"there is no rule {name[:20]!r}; there are {', '.join(RULES)}")
    return tuple(name for name in RULES if name in names)


class Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, stream: TextIO, steps: int) -> None:
        self.stream = stream
        self.steps = max(steps, 1)
        self.done = 0
        self.shown = stream.isatty()

    def step(self, count: int = 1) -> None:
        self.done += count
        if self.shown:
            full = min(self.done, self.steps) * BAR // self.steps
            self.stream.write(f"\r[{'#' * full}{'.' * (BAR - full)}] {100 * self.done // self.steps:3d} %")
            self.stream.flush()

    def end(self) -> None:
        if self.shown:
            self.stream.write("\r" + " " * (BAR + 8) + "\r")
            self.stream.flush()


def evaluate(
    parsed: argparse.Namespace, out: TextIO, err: TextIO, own: tuple[Sequence[Row], Sequence[str]] | None = None
) -> int:
    """Exit code 2, and one sentence, where the file or the choice of models is wrong. `own` are a tenant's examples,
    with their tags, instead of a file."""
    from laneway.evaluate.dataset import DatasetError, read, select

    if parsed.pool and (parsed.cheap or parsed.strong):
        err.write("laneway: Give either --pool, or --cheap and --strong.\n")
        return 2
    if bool(parsed.cheap) != bool(parsed.strong):
        err.write("laneway: --cheap and --strong go together.\n")
        return 2
    try:
        rows, tags = own if own is not None else read(parsed.data, parsed.tag)
        models = parsed.pool or tuple(filter(None, (parsed.cheap, parsed.strong)))
        pool = select(rows, tags, models, parsed.strong)
    except DatasetError as error:
        err.write(f"laneway: {error}\n")
        return 2
    for path in filter(None, (parsed.json, parsed.plot)):
        if not path.parent.is_dir():
            err.write(f"laneway: There is no folder {path.parent} to write {path.name} into.\n")
            return 2
    _run(parsed, pool, out, err)
    return 0


def _run(parsed: argparse.Namespace, pool: Pool, out: TextIO, err: TextIO) -> None:
    from laneway.evaluate import checks, report
    from laneway.evaluate.taught import embed
    from laneway.evaluate.trial import Plan, Trial

    prompts = embed(pool)
    plan = Plan(sizes=parsed.n, splits=parsed.splits, rules=parsed.rules)
    floor_runs = checks.FLOOR_RUNS_A_SPLIT * plan.splits
    trial = Trial(pool, prompts, plan)
    progress = Progress(err, trial.steps + floor_runs + checks.VERDICT_ROUNDS + checks.GROUP_FOLDS)
    trial.done = progress.step
    figures = trial.run()
    found = report.Report(
        data=_name(parsed),
        examples=len(pool.prompts),
        models=pool.models,
        cheap=pool.models[pool.cheap],
        strong=pool.models[pool.strong],
        tag=parsed.tag,
        splits=plan.splits,
        rules=figures,
        floor=checks.check_floor(pool, prompts, parsed.floor, floor_runs, plan.seed, progress.step),
        verdict=checks.reach_verdict(pool, prompts, plan.seed, progress.step),
        unseen=checks.leave_groups_out(pool, prompts, plan.seed, progress.step),
    )
    progress.end()
    out.write("\n".join([report.head(found), "", report.table(found), "", report.LEGEND, "", report.sentences(found)]))
    out.write("\n")
    if not pool.price_known:
        order = "in the order they were named" if parsed.pool or parsed.cheap else "from the worse to the better"
        out.write(f"A model has no known cost: models count as ever dearer {order}.\n")
    if parsed.json:
        report.write_json(found, parsed.json)
    if parsed.plot:
        _plot(parsed, pool, plan, trial)


def _name(parsed: argparse.Namespace) -> str:
    name: str = parsed.data.name if parsed.data is not None else f"memory of {parsed.tenant}"
    return name


def _plot(parsed: argparse.Namespace, pool: Pool, plan: Plan, trial: Trial) -> None:
    from laneway.evaluate import curves
    from laneway.evaluate import trial as trials
    from laneway.evaluate.picture import draw

    judged = trials.split(pool, plan.seed, 0).judge
    alone = curves.singles(pool.scores[judged].astype("float64"), trial.costs_usd[judged])
    singles = list(zip(pool.models, alone.costs.tolist(), alone.quality.tolist(), strict=True))
    hull = alone.hull(pool.strong)
    mixed = trials.Drawn("random", tuple(hull.costs.tolist()), tuple(hull.quality.tolist()))
    title = f"Cost and quality: {_name(parsed)}"
    parsed.plot.write_text(draw(title, [mixed, *trial.drawn], singles), encoding="utf-8")

"""The race as files: figures for programs, a table for the README, and a picture.

Owns: race.json, race.md and race.svg. Refuses: judging; the bars are logarithmic and say so.
"""

from __future__ import annotations

import json
import math
import os
from html import escape
from pathlib import Path

from bench.peers.figures import Race, Row, rows

WIDTH, BAR, LEFT = 760, 22, 190


def write(races: list[Race], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    told = [{"race": race.title, "rows": [row._asdict() for row in rows(race)]} for race in races]
    (folder / "race.json").write_text(json.dumps({"machine": machine(), "races": told}, indent=1) + "\n")
    (folder / "race.md").write_text("\n\n".join(table(race) for race in races) + "\n")
    (folder / "race.svg").write_text(picture(races))


def machine() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return f"{os.cpu_count()} processors, {model.partition(':')[2].strip() or 'of an unknown kind'}"


def table(race: Race) -> str:
    lines = [
        f"**{race.title[0].upper()}{race.title[1:]}**",
        "",
        "| | req/s | CPU us a request | against bare | added p50 ms | p99 ms | MiB | wrong answers |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.name} | {row.rate:,.0f} | {row.cpu_us:,.0f} | {row.ratio:.2f} ({row.low:.2f}-{row.high:.2f}) "
        f"| {row.added_p50_ms:.2f} | {row.p99_ms:.1f} | {row.resident_mib:.0f} | {row.wrong or ''} |"
        for row in rows(race)
    ]
    return "\n".join(lines)


def picture(races: list[Race]) -> str:
    """CPU per request on a logarithmic scale, a panel for each race."""
    parts: list[str] = []
    top = 0
    for race in races:
        made, height = _panel(race, top)
        parts.append(made)
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="system-ui, sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{top}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _panel(race: Race, top: int) -> tuple[str, int]:
    found = sorted(rows(race), key=lambda row: row.cpu_us)
    least, most = math.log10(min(row.cpu_us for row in found)) - 0.3, math.log10(max(row.cpu_us for row in found))
    title = f"CPU per request, {escape(race.title)} (microseconds, logarithmic; shorter is better)"
    lines = [f'<text x="8" y="{top + 20}" font-weight="600">{title}</text>']
    for at, row in enumerate(found):
        lines.append(_bar(row, top + 32 + at * BAR, (math.log10(row.cpu_us) - least) / max(most - least, 0.1)))
    return "".join(lines), 44 + len(found) * BAR


def _bar(row: Row, top: int, part: float) -> str:
    colour = "#0b7285" if row.name.startswith("laneway") else "#adb5bd"
    length = max(part, 0.01) * (WIDTH - LEFT - 150)
    return (
        f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(row.name)}</text>'
        f'<rect x="{LEFT}" y="{top + 2}" width="{length:.0f}" height="{BAR - 6}" rx="3" fill="{colour}"/>'
        f'<text x="{LEFT + length + 6:.0f}" y="{top + 14}">{row.cpu_us:,.0f} us, {row.rate:,.0f} req/s</text>'
    )

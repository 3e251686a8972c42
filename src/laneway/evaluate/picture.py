"""The cost-quality picture, as SVG written by hand.

Owns: scales, ticks, lines and labels. Refuses: styles from elsewhere; the file stands alone, in light and in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from laneway.evaluate.contenders import WORDS
from laneway.evaluate.trial import Drawn

WIDTH, HEIGHT = 720, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 60
MOST_POINTS = 160
COLOURS = {"ours": "#0a7f5a", "knn5": "#b3541e", "clusters16": "#7a4fbf", "length": "#8a8a8a", "random": "#999"}
STYLE = """\
<style>text{font:13px system-ui,sans-serif;fill:#333}.axis{stroke:#999}.grid{stroke:#ddd}svg{background:#fff}
@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#333}svg{background:#161616}}</style>"""


def draw(title: str, lines: Sequence[Drawn], singles: Sequence[tuple[str, float, float]]) -> str:
    """`singles` are models with their cost in USD per request and their quality."""
    shown = [line for line in lines if line.rule != "oracle"]
    costs = [cost for _, cost, _ in singles] + [cost for line in shown for cost in line.costs_usd]
    scores = [score for _, _, score in singles] + [score for line in shown for score in line.quality]
    scale = _Scale(min(costs), max(costs), min(scores), max(scores))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>{STYLE}",
        f'<text x="{LEFT}" y="22" font-weight="600">{escape(title)}</text>',
        *scale.axes(),
    ]
    for number, line in enumerate(shown):
        colour = COLOURS.get(line.rule, "#555")
        dashed = ' stroke-dasharray="5 4"' if line.rule == "random" else ""
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dashed} points="{scale.points(line)}"/>'
        )
        height = HEIGHT - BOTTOM - 14 - 18 * (len(shown) - number)
        parts.append(f'<text x="{WIDTH - 150}" y="{height}" style="fill:{colour}">{escape(WORDS[line.rule])}</text>')
    for name, cost, score in singles:
        x, y = scale.place(cost, score)
        side = "end" if x > WIDTH / 2 else "start"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#888"/>')
        parts.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="{side}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    def __init__(self, low_cost: float, high_cost: float, low: float, high: float) -> None:
        self.low_cost = low_cost
        self.wide = (high_cost - low_cost) or 1.0
        self.low = low - 0.05 * (high - low)
        self.tall = (high - low) * 1.15 or 1.0

    def place(self, cost: float, score: float) -> tuple[float, float]:
        x = LEFT + (cost - self.low_cost) / self.wide * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - (score - self.low) / self.tall * (HEIGHT - TOP - BOTTOM)

    def points(self, line: Drawn) -> str:
        every = max(len(line.costs_usd) // MOST_POINTS, 1)
        chosen = [*range(0, len(line.costs_usd) - 1, every), len(line.costs_usd) - 1]
        places = [self.place(line.costs_usd[at], line.quality[at]) for at in chosen]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)

    def axes(self) -> list[str]:
        parts = []
        for at in range(5):
            cost, score = self.low_cost + self.wide * at / 4, self.low + self.tall * at / 4
            x, y = self.place(cost, score)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{score:.3f}</text>')
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{cost * 1000:.3g}</text>')
        base = HEIGHT - BOTTOM
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 16}" text-anchor="middle">USD per 1,000 requests</text>')
        parts.append(f'<text x="{LEFT - 8}" y="22" text-anchor="end">quality</text>')
        return parts

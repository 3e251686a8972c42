"""Metrics: counters made from Outcomes, and their text for Prometheus.

Owns: plain integer counters with bounded labels (fronts, lanes, providers, kinds of failure), and the exposition
format (https://prometheus.io/docs/instrumenting/exposition_formats/).
Refuses: labels that callers can invent (models, users, traces), and any work on the hot path beyond adding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from laneway.route import Outcome

TOGETHER = 64
"""So many requests are counted at once, or fewer where somebody reads the counters."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        self.total_s += seconds
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1


class Metrics:
    """All counters of one process."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.lanes: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.cost_nanos: Counter[str] = Counter()
        self.skipped_chunks = 0
        self.callers_gone = 0
        self.turned_away: Counter[str] = Counter(requests=0, lag=0)
        self.lag_s = 0.0
        self.elapsed: dict[str, Histogram] = {}
        self._uncounted: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Counted with others like it: one at a time, between other work, it costs twice as much."""
        self._uncounted.append(outcome)
        if len(self._uncounted) >= TOGETHER:
            self.count()

    def count(self) -> None:
        """Brings the counters up to date, for whoever reads them."""
        uncounted, self._uncounted = self._uncounted, []
        for outcome in uncounted:
            self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self.requests[(outcome.front, outcome.op, outcome.status)] += 1
        if outcome.lane is not None:
            self.lanes[outcome.lane] += 1
        if outcome.caller_gone:
            self.callers_gone += 1
        for attempt in outcome.attempts:
            provider = attempt.target.provider.name
            self.attempts[(provider, attempt.failure.kind if attempt.failure is not None else "ok")] += 1
            usage = attempt.usage
            if usage.input:
                self.tokens[(provider, "input")] += usage.input
            if usage.output:
                self.tokens[(provider, "output")] += usage.output
            if attempt.cost_nanos:
                self.cost_nanos[provider] += attempt.cost_nanos
            self.skipped_chunks += attempt.skipped_chunks
        histogram = self.elapsed.get(outcome.front)
        if histogram is None:
            histogram = self.elapsed[outcome.front] = Histogram()
        histogram.add(outcome.elapsed_s)

    def text(self, extra: Mapping[str, float], worker: int | None = None) -> str:
        """The exposition; `extra` holds gauges that others keep. Each of several workers has series of its own."""
        self.count()
        lines: list[str] = []
        for name, kind, help_text, samples in self._families():
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
        lines += self._elapsed()
        for name, value in extra.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        if worker is not None:
            lines = [_marked(line, worker) for line in lines]
        return "\n".join(lines) + "\n"

    def _families(self) -> Iterable[tuple[str, str, str, list[tuple[dict[str, str], float]]]]:
        yield (
            "laneway_requests_total",
            "counter",
            "Requests answered, by front, operation and status.",
            [({"front": f, "op": o, "status": str(s)}, count) for (f, o, s), count in self.requests.items()],
        )
        yield (
            "laneway_lane_requests_total",
            "counter",
            "Requests by lane.",
            [({"lane": lane}, count) for lane, count in self.lanes.items()],
        )
        yield (
            "laneway_attempts_total",
            "counter",
            "Calls of providers, by how they ended.",
            [({"provider": p, "result": r}, count) for (p, r), count in self.attempts.items()],
        )
        yield (
            "laneway_tokens_total",
            "counter",
            "Tokens used.",
            [({"provider": p, "direction": d}, count) for (p, d), count in self.tokens.items()],
        )
        yield (
            "laneway_cost_usd_total",
            "counter",
            "Cost of calls in USD.",
            [({"provider": p}, nanos / 1e9) for p, nanos in self.cost_nanos.items()],
        )
        yield "laneway_in_flight", "gauge", "Requests being served now.", [({}, self.in_flight)]
        yield (
            "laneway_skipped_chunks_total",
            "counter",
            "Stream chunks that could not be read.",
            [({}, self.skipped_chunks)],
        )
        yield "laneway_callers_gone_total", "counter", "Callers who left early.", [({}, self.callers_gone)]
        yield (
            "laneway_turned_away_total",
            "counter",
            "Requests turned away unread, as there were too many or the loop was late.",
            [({"reason": reason}, count) for reason, count in self.turned_away.items()],
        )
        yield "laneway_loop_lag_seconds", "gauge", "How late the loop was at its last turn.", [({}, self.lag_s)]

    def _elapsed(self) -> list[str]:
        name = "laneway_request_seconds"
        lines = [f"# HELP {name} Time from request to its end.", f"# TYPE {name} histogram"]
        for front, histogram in self.elapsed.items():
            running = 0
            for bound, count in zip((*BUCKETS_S, None), histogram.counts, strict=True):
                running += count
                edge = "+Inf" if bound is None else f"{bound:g}"
                lines.append(f'{name}_bucket{{front="{front}",le="{edge}"}} {running}')
            lines.append(f'{name}_sum{{front="{front}"}} {histogram.total_s:.6f}')
            lines.append(f'{name}_count{{front="{front}"}} {running}')
        return lines


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _marked(line: str, worker: int) -> str:
    """A sample with its worker among the labels: whichever is asked, no counter seems to begin anew."""
    if line.startswith("#"):
        return line
    name, labelled, rest = line.partition("{")
    if labelled:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""Spans: what a request led to, as OpenTelemetry tells it, made when it is over.

Owns: the only use of the OpenTelemetry library (the extra `otel`), a span for a request and one under it for each call
of a provider, by the conventions for generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/).
Refuses: to be there unless it is asked for, prompts and answers, and to make a request wait: spans are handed to the
library's own thread, whose queue is bounded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from laneway.config import ConfigError, Problem
from laneway.policy.tracing import Parent, Trace, begun
from laneway.record import PREFIX, attributes
from laneway.route import Attempt, Outcome
from laneway.settings import TelemetryTable

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OPERATIONS = {"chat": "chat", "complete": "text_completion", "embed": "embeddings", "count": "count_tokens"}
_PROVIDERS = {"converse": "aws.bedrock", "responses": "openai"}
"""By dialect; the others are called as their dialects are."""


class Spans:
    """Begins and ends the spans of requests. `processor` stands for the exporter in tests."""

    def __init__(
        self,
        table: TelemetryTable,
        *,
        prefix: str = PREFIX,
        version: str = "",
        processor: Callable[[], SpanProcessor] | None = None,
        bits: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._table = table
        self._prefix = prefix
        self._version = version
        self._processor = processor
        self._bits = bits
        self._ids = _Chosen()
        self._provider: TracerProvider | None = None

    def start(self) -> None:
        """Here and not before: the exporter's thread belongs to the process that serves."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        service = {"service.version": self._version}
        if "OTEL_SERVICE_NAME" not in os.environ:
            service["service.name"] = self._table.service
        # The sampler is the one that the environment names (OTEL_TRACES_SAMPLER); the caller's word comes first.
        self._provider = TracerProvider(
            resource=Resource.create(service),
            id_generator=self._ids.generator(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor((self._processor or self._exporter)())

    def _exporter(self) -> SpanProcessor:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = OTLPSpanExporter(endpoint=self._table.endpoint or None, headers=dict(self._table.headers) or None)
        return BatchSpanProcessor(exporter)

    async def close(self) -> None:
        """What was handed over goes out, within the library's own time limit."""
        provider, self._provider = self._provider, None
        if provider is not None:
            await asyncio.to_thread(provider.shutdown)

    def begin(self, parent: Parent | None) -> Trace:
        trace = begun(parent, int.from_bytes(self._bits(24), "big"), sampled=False)
        provider = self._provider
        if provider is None:
            return trace
        from opentelemetry.sdk.trace.sampling import Decision

        result = provider.sampler.should_sample(_context(parent), trace.trace_id, "request")
        return trace._replace(sampled=result.decision is Decision.RECORD_AND_SAMPLE)

    def end(self, trace: Trace, outcome: Outcome, wall_s: float) -> None:
        """`wall_s` is what people's clock is ahead of the one that timed the attempts."""
        if self._provider is None or not trace.sampled:
            return
        from opentelemetry.trace import SpanKind

        record = attributes(outcome, self._prefix)
        facts = {name: _plain(value) for name, value in record.items() if value is not None and value != ""}
        operation = _OPERATIONS[outcome.op.value]
        facts |= {"gen_ai.operation.name": operation, "http.response.status_code": outcome.status}
        if outcome.failure is not None:
            facts["error.type"] = outcome.failure.kind.value
        name = f"{operation} {outcome.model}".rstrip()
        ends_s = outcome.at_s + outcome.elapsed_s
        own = Parent(trace.trace_id, trace.span_id, sampled=True)
        self._make(own, _context(trace.parent), name, SpanKind.SERVER, facts, (outcome.at_s, ends_s))
        for number, attempt in enumerate(outcome.attempts):
            if attempt.called:
                call = Parent(trace.trace_id, trace.call_id(number), sampled=True)
                times = (attempt.started_s + wall_s, attempt.ended_s + wall_s)
                facts = self._call_facts(attempt, operation)
                called = f"{operation} {attempt.target.upstream}"
                self._make(call, _context(own), called, SpanKind.CLIENT, facts, times)

    def _make(
        self, own: Parent, context: Context, name: str, kind: Any, facts: Mapping[str, Any], times: tuple[float, float]
    ) -> None:
        from opentelemetry.trace import Status, StatusCode

        if self._provider is None:
            return
        self._ids.next = own
        begins_ns, ends_ns = (int(at_s * 1e9) for at_s in times)
        tracer = self._provider.get_tracer("laneway", self._version)
        span = tracer.start_span(name, context=context, kind=kind, attributes=facts, start_time=begins_ns)
        if "error.type" in facts:
            span.set_status(Status(StatusCode.ERROR, facts["error.type"]))
        span.end(end_time=max(ends_ns, begins_ns))

    def _call_facts(self, attempt: Attempt, operation: str) -> dict[str, Any]:
        target, usage = attempt.target, attempt.usage
        address = urlsplit(target.provider.origin)
        facts: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _PROVIDERS.get(target.provider.dialect, target.provider.dialect),
            "gen_ai.request.model": target.upstream,
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
            "gen_ai.response.finish_reasons": (attempt.finish.value,) if attempt.finish is not None else None,
            "server.address": address.hostname,
            "server.port": address.port,
            "http.response.status_code": attempt.status or None,
            "error.type": attempt.failure.kind.value if attempt.failure is not None else None,
            f"{self._prefix}.endpoint": target.provider.name,
            f"{self._prefix}.provider_tier": target.provider.tier.value,
        }
        return {name: value for name, value in facts.items() if value is not None}


def spans_of(table: TelemetryTable, variables: Mapping[str, str], *, prefix: str, version: str) -> Spans | None:
    """None unless somebody asked for spans, in the settings or by the variables that OpenTelemetry knows.

    Raises ConfigError where the settings ask for them and the extra is not installed.
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or variables.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    wanted = bool(table.endpoint)
    if not wanted and not any(variables.get(name) for name in ENDPOINTS):
        return None
    if not _installed():
        if wanted:
            problem = "needs the extra `otel`: pip install 'laneway[otel]'"
            raise ConfigError([Problem("telemetry.endpoint", problem)])
        return None
    return Spans(table, prefix=prefix, version=version)


def _installed() -> bool:
    try:
        return all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        # Not even what they are parts of.
        return False


class _Chosen:
    """The ids of the span that is made next: they were chosen when the request began."""

    def __init__(self) -> None:
        self.next = Parent(0, 0, sampled=False)

    def generator(self) -> IdGenerator:
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        chosen = self

        class Given(IdGenerator):
            def generate_trace_id(self) -> int:
                return chosen.next.trace_id

            def generate_span_id(self) -> int:
                return chosen.next.span_id

        return Given()


def _context(parent: Parent | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    # Never the current one: which span a request is under is a fact of its own.
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    span = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(span), Context())


def _plain(value: object) -> object:
    """Words of an enumeration, as texts."""
    return value.value if isinstance(value, Enum) else value

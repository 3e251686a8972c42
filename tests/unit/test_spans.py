"""Spans: whose child each is, what they say, and that there are none unless somebody asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from laneway.config import ConfigError
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.tracing import read_parent
from laneway.route import Lane
from laneway.settings import TelemetryTable
from laneway.watching.spans import Spans, spans_of
from tests.fakes.replies import Script, Scripted, failure, target, whole
from tests.harness.asgi import Caller, ask
from tests.harness.loop import run

TARGETS = (target("openai", name="one"), target("converse", name="two"))
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced:
    """A small stack that tells its spans."""

    def __init__(self, *scripts: Script) -> None:
        self.upstream = Scripted(*scripts)
        self.exporter = InMemorySpanExporter()
        self.spans = Spans(
            TelemetryTable(service="gateway-of-tests"),
            prefix="acme",
            version="v",
            processor=lambda: SimpleSpanProcessor(self.exporter),
        )
        app = RouterMiddleware(FallbackMiddleware(Forward(self.upstream)))
        lanes = [Lane(name="asked", targets=TARGETS)]
        self.app = ObserveMiddleware(LaneMiddleware(app, lanes=lanes), spans=self.spans)

    def serve(self, caller: Caller) -> tuple[ReadableSpan, ...]:
        async def scene() -> None:
            self.spans.start()
            await caller.call(self.app)
            await self.spans.close()

        run(scene())
        return self.exporter.get_finished_spans()

    def told(self) -> list[str]:
        return [dict(call.headers)[b"traceparent"].decode() for call in self.upstream.calls]


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def test_a_request_and_each_of_its_calls_has_a_span() -> None:
    """Ours is the caller's child, each call is ours, and the provider is told of the call's."""
    traced = Traced(failure(Kind.CONNECT), whole("converse"))
    headers = {"traceparent": CALLER, "tracestate": "vendor=1", "x-laneway-project": "shop"}
    own, first, second = traced.serve(ask("anthropic", "asked", headers=headers))
    assert own.parent is not None
    assert f"{own.parent.span_id:016x}" == "b7ad6b7169203331"
    assert {f"{ids(span)[0]:032x}" for span in (own, first, second)} == {"0af7651916cd43dd8448eb211c80319c"}
    for call, told in zip((first, second), traced.told(), strict=True):
        assert call.parent is not None
        assert call.parent.span_id == ids(own)[1]
        parent = read_parent(told.encode())
        assert parent is not None
        assert (parent.trace_id, parent.span_id) == ids(call)
        assert parent.sampled
    assert {dict(call.headers)[b"tracestate"] for call in traced.upstream.calls} == {b"vendor=1"}


def test_they_say_what_the_conventions_ask_for() -> None:
    own, first, second = Traced(failure(Kind.CONNECT), whole("converse")).serve(ask("openai", "asked"))
    assert (own.name, own.kind, own.parent) == ("chat asked", SpanKind.SERVER, None)
    assert (first.name, first.kind) == (f"chat {TARGETS[0].upstream}", SpanKind.CLIENT)
    assert own.resource.attributes["service.name"] == "gateway-of-tests"
    said = facts(own)
    assert (said["gen_ai.operation.name"], said["gen_ai.request.model"]) == ("chat", "asked")
    assert (said["acme.lane"], said["acme.endpoint"], said["acme.fallback_reason"]) == ("asked", "two", "connect")
    assert said["http.response.status_code"] == 200
    assert (own.status.status_code, first.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert facts(first)["error.type"] == "connect"
    said = facts(second)
    assert (said["gen_ai.provider.name"], said["gen_ai.request.model"]) == ("aws.bedrock", TARGETS[1].upstream)
    assert said["gen_ai.usage.output_tokens"] == facts(own)["gen_ai.usage.output_tokens"]
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["server.address"] == "two.test"
    for span in (own, first, second):
        assert span.start_time is not None
        assert span.end_time is not None
        assert own.start_time is not None
        assert own.end_time is not None
        assert own.start_time <= span.start_time <= span.end_time <= own.end_time


def test_a_refused_request_has_a_span_without_calls() -> None:
    (own,) = Traced().serve(Caller("/v1/messages", b"{"))
    assert (own.name, own.status.status_code, facts(own)["error.type"]) == (
        "chat",
        StatusCode.ERROR,
        "malformed_request",
    )
    assert facts(own)["http.response.status_code"] == 400


def test_a_caller_who_does_not_sample_is_followed() -> None:
    traced = Traced(whole("openai"))
    assert traced.serve(ask("openai", "asked", headers={"traceparent": CALLER[:-2] + "00"})) == ()
    (told,) = traced.told()
    assert told.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert told.endswith("-00")


def test_the_sampler_of_the_environment_decides_where_no_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    traced = Traced(whole("openai"))
    assert traced.serve(ask("openai", "asked")) == ()
    assert traced.told()[0].endswith("-00")


def test_requests_at_the_same_time_keep_their_own_ids() -> None:
    traced = Traced(whole("openai"))

    async def scene() -> None:
        traced.spans.start()
        await asyncio.gather(*(ask("openai", "asked").call(traced.app) for _ in range(20)))
        await traced.spans.close()

    run(scene())
    found = traced.exporter.get_finished_spans()
    roots = {ids(span)[0]: ids(span)[1] for span in found if span.kind is SpanKind.SERVER}
    calls = [span for span in found if span.kind is SpanKind.CLIENT]
    assert len(roots) == len(calls) == 20
    assert all(span.parent is not None and span.parent.span_id == roots[ids(span)[0]] for span in calls)


def test_neither_prompts_nor_keys_are_in_them() -> None:
    headers = {"authorization": "Bearer key-canary-7731"}
    prompt = [{"role": "user", "content": "prompt-canary-9917"}]
    spans = Traced(failure(Kind.UPSTREAM_ERROR, detail="prompt-canary-9917"), whole("converse")).serve(
        ask("openai", "asked", headers=headers, messages=prompt)
    )
    assert len(spans) >= 3
    assert "canary" not in "".join(span.to_json() for span in spans)


# --- who asks for them -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "variables", "there"),
    [
        ("", {}, False),
        ("http://127.0.0.1:4318/v1/traces", {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ("http://127.0.0.1:4318/v1/traces", {"OTEL_SDK_DISABLED": "true"}, False),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_there_are_none_unless_somebody_asked(endpoint: str, variables: Mapping[str, str], there: bool) -> None:
    made = spans_of(TelemetryTable(endpoint=endpoint), variables, prefix="acme", version="v")
    assert (made is not None) is there


def test_settings_that_need_the_extra_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """While variables that were meant for other programs are no reason to refuse to start."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("laneway.watching.spans.find_spec", missing)
    with pytest.raises(ConfigError) as caught:
        spans_of(TelemetryTable(endpoint="http://x/"), {}, prefix="acme", version="v")
    assert "laneway[otel]" in str(caught.value)
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x/"}
    assert spans_of(TelemetryTable(), variables, prefix="acme", version="v") is None


def test_the_library_is_not_loaded_for_nothing() -> None:
    code = "import sys, laneway.gateway, laneway.watching.spans; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"

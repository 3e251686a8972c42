"""Spans of a running gateway, as a collector receives them and a provider learns of them."""

from __future__ import annotations

from pathlib import Path

from laneway.policy.tracing import read_parent
from tests.e2e.house import QUESTION
from tests.fakes.collector import Collector
from tests.fakes.providers import FakeProvider, Street
from tests.harness.gateway import served, until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


def config(provider: FakeProvider, more: str = "") -> str:
    return f"""
[server]
store = "memory:"

[providers.box]
dialect = "openai"
url = "{provider.url}"
api_key = "key-of-the-box"
{more}
"""


def test_the_collector_is_told_and_the_provider_is_below_us(street: Street, tmp_path: Path) -> None:
    box = street.open("openai", {"small": "sim-small"})
    with Collector() as collector:
        telemetry = (
            f'\n[telemetry]\nendpoint = "{collector.origin}/v1/traces"\nheaders = {{ "x-key" = "of-collector" }}'
        )
        with served(tmp_path, config(box, telemetry), variables=SOON) as gateway:
            assert gateway.chat("small", QUESTION, headers={"traceparent": CALLER}).status_code == 200
            until(lambda: len(collector.spans()) == 2)
        spans = {span.name.split()[0] + str(span.kind): span for span in collector.spans()}
    own, call = spans["chat2"], spans["chat3"]  # SPAN_KIND_SERVER and SPAN_KIND_CLIENT of the protocol
    assert own.parent_span_id.hex() == "b7ad6b7169203331"
    assert call.parent_span_id == own.span_id
    told = read_parent(box.asked()[-1].header(b"traceparent"))
    assert told is not None
    assert (f"{told.trace_id:032x}", f"{told.span_id:016x}") == (call.trace_id.hex(), call.span_id.hex())
    said = {attribute.key: attribute.value for attribute in own.attributes}
    assert said["gen_ai.request.model"].string_value == "small"
    assert said["gen_ai.usage.output_tokens"].int_value > 0
    headers, request = collector.requests[0]
    assert (headers[":path"], headers["x-key"]) == ("/v1/traces", "of-collector")
    resource = {
        attribute.key: attribute.value.string_value for attribute in request.resource_spans[0].resource.attributes
    }
    assert resource["service.name"] == "laneway"
    sent = "".join(str(each) for _, each in collector.requests)
    assert QUESTION not in sent
    assert "key-of-the-box" not in sent


def test_the_usual_variables_are_enough_and_what_waits_is_sent_at_the_end(street: Street, tmp_path: Path) -> None:
    box = street.open("openai", {"small": "sim-small"})
    with Collector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.origin,
            "OTEL_SERVICE_NAME": "front-door",
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with served(tmp_path, config(box), variables=variables) as gateway:
            assert gateway.chat("small", QUESTION).status_code == 200
            assert gateway.chat("no-such-model").status_code == 404
            assert collector.requests == []
        assert len(collector.spans()) == 3
        headers, request = collector.requests[0]
    assert headers[":path"] == "/v1/traces"
    names = {attribute.value.string_value for attribute in request.resource_spans[0].resource.attributes}
    assert "front-door" in names


def test_a_collector_that_is_not_there_costs_no_request_anything(street: Street, tmp_path: Path) -> None:
    box = street.open("openai", {"small": "sim-small"})
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **SOON, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with served(tmp_path, config(box), variables=variables) as gateway:
        for _ in range(5):
            assert gateway.chat("small", QUESTION).status_code == 200

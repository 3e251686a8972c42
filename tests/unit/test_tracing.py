"""Places in a trace: what a caller says of one, and what a provider is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.policy.tracing import Parent, begun, read_parent
from tests.fakes.replies import Scripted, failure, target, whole
from tests.harness.asgi import ask
from tests.harness.loop import run

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_a_caller_says() -> None:
    parent = Parent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)
    assert read_parent(CALLER.encode()) == parent
    assert read_parent(CALLER.encode()[:-2] + b"00") == parent._replace(sampled=False)
    assert read_parent(b"01" + CALLER.encode()[2:] + b"-more") == parent, "of a later version the known part counts"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"nonsense",
        CALLER.upper().encode(),
        b"ff" + CALLER.encode()[2:],
        CALLER.encode() + b"-more",
        CALLER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32).encode(),
        CALLER.replace("b7ad6b7169203331", "0" * 16).encode(),
        CALLER.encode()[:-3],
    ],
)
def test_what_is_none_is_none(value: bytes | None) -> None:
    assert read_parent(value) is None


@given(st.binary(max_size=70))
def test_whatever_is_sent_is_read_or_not(value: bytes) -> None:
    read_parent(value)


@given(st.integers(0, 2**192 - 1), st.integers(0, 40), st.booleans())
def test_what_a_provider_is_told_can_be_read(bits: int, number: int, sampled: bool) -> None:
    for parent in (None, read_parent(CALLER.encode())):
        trace = begun(parent, bits, sampled=sampled)
        told = read_parent(trace.traceparent(number))
        assert told == Parent(trace.trace_id, trace.call_id(number), sampled)
        assert parent is None or told.trace_id == parent.trace_id
        assert len({trace.call_id(each) for each in range(number + 1)} | {trace.span_id}) == number + 2


def test_without_spans_of_our_own_the_callers_word_is_passed_on() -> None:
    """To each provider that is called; and to nobody when it is none."""
    for sent, passed in ((CALLER, True), ("nonsense", False)):
        upstream = Scripted(failure(Kind.CONNECT), whole("anthropic"))
        targets = (target("openai", name="one"), target("anthropic", name="two"))
        app = ObserveMiddleware(FallbackMiddleware(Forward(upstream), targets=targets))
        headers = {"traceparent": sent, "tracestate": "vendor=1"}
        assert run(ask("openai", "asked", headers=headers).call(app)).status == 200
        assert len(upstream.calls) == 2
        for call in upstream.calls:
            told = dict(call.headers)
            assert (told.get(b"traceparent") == CALLER.encode()) is passed
            assert (b"tracestate" in told) is passed

"""Usage on the wire, provider by provider, whole and streamed: what it means, and what it costs to the nano.

Prices are list prices per million tokens; each sum is written out, so that nobody has to trust the code.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from laneway.chat import Op, Usage, Used
from laneway.dialects import dialect
from laneway.failure import Kind
from laneway.loaded import catalog
from laneway.places import price_faults, priced
from laneway.policy.price import ceiling_nanos, chars_within, cost_nanos, per_million
from laneway.route import Price
from laneway.settings import PriceTable
from laneway.wire import eventstream
from tests.fakes.replies import Given, failure, target
from tests.harness.asgi import Caller, ask
from tests.unit.test_budget_plans import House, budget

GPT = Price(input=per_million("2.50"), output=per_million("10"), cache_read=per_million("1.25"))
CLAUDE = Price(
    input=per_million("3"),
    output=per_million("15"),
    cache_read=per_million("0.30"),
    cache_write_5m=per_million("3.75"),
    cache_write_1h=per_million("6"),
)
LOCAL = Price(input=per_million("0.10"), output=per_million("0.40"))


class Told(NamedTuple):
    """The same usage as a provider tells it whole and in a stream."""

    speaks: str
    whole: bytes
    stream: bytes
    usage: Usage
    price: Price
    nanos: int


def sse(*data: bytes, names: tuple[bytes, ...] = ()) -> bytes:
    if names:
        return b"".join(b"event: %b\ndata: %b\n\n" % pair for pair in zip(names, data, strict=True))
    return b"".join(b"data: %b\n\n" % each for each in data)


def openai(usage: bytes, price: Price, seen: Usage, nanos: int) -> Told:
    head = b'"id":"chatcmpl-1","created":1,"model":"gpt"'
    whole = (
        b'{%b,"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},'
        b'"finish_reason":"stop"}],"usage":%b}' % (head, usage)
    )
    chunk = b'{%b,"object":"chat.completion.chunk","choices":[%b]%b}'
    stream = sse(
        chunk % (head, b'{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}', b""),
        chunk % (head, b'{"index":0,"delta":{},"finish_reason":"stop"}', b""),
        chunk % (head, b"", b',"usage":' + usage),
        b"[DONE]",
    )
    return Told("openai", whole, stream, seen, price, nanos)


def responses(usage: bytes, price: Price, seen: Usage, nanos: int) -> Told:
    item = (
        b'{"id":"msg_1","type":"message","status":"completed","role":"assistant",'
        b'"content":[{"type":"output_text","text":"hi","annotations":[]}]}'
    )
    response = (
        b'{"id":"resp_1","object":"response","created_at":1,"model":"gpt","status":"%b","output":[%b],"usage":%b}'
    )
    whole = response % (b"completed", item, usage)
    stream = sse(
        b'{"type":"response.created","sequence_number":0,"response":%b}' % (response % (b"in_progress", b"", b"null")),
        b'{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":%b}' % item,
        b'{"type":"response.output_text.delta","sequence_number":2,"output_index":0,"content_index":0,"delta":"hi"}',
        b'{"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":%b}' % item,
        b'{"type":"response.completed","sequence_number":4,"response":%b}' % whole,
        names=(
            b"response.created",
            b"response.output_item.added",
            b"response.output_text.delta",
            b"response.output_item.done",
            b"response.completed",
        ),
    )
    return Told("responses", whole, stream, seen, price, nanos)


def anthropic(first: bytes, last: bytes, price: Price, seen: Usage, nanos: int) -> Told:
    whole = (
        b'{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{%b,%b}}' % (first, last)
    )
    stream = sse(
        b'{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude",'
        b'"content":[],"stop_reason":null,"stop_sequence":null,"usage":{%b,"output_tokens":1}}}' % first,
        b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}',
        b'{"type":"content_block_stop","index":0}',
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{%b}}' % last,
        b'{"type":"message_stop"}',
        names=(
            b"message_start",
            b"content_block_start",
            b"content_block_delta",
            b"content_block_stop",
            b"message_delta",
            b"message_stop",
        ),
    )
    return Told("anthropic", whole, stream, seen, price, nanos)


def bedrock(usage: bytes, price: Price, seen: Usage, nanos: int) -> Told:
    whole = (
        b'{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",'
        b'"metrics":{"latencyMs":7},"usage":%b}' % usage
    )

    def event(name: str, payload: bytes) -> bytes:
        headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
        return eventstream.encode(headers, payload)

    stream = (
        event("messageStart", b'{"role":"assistant"}')
        + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"hi"}}')
        + event("contentBlockStop", b'{"contentBlockIndex":0}')
        + event("messageStop", b'{"stopReason":"end_turn"}')
        + event("metadata", b'{"metrics":{"latencyMs":7},"usage":%b}' % usage)
    )
    return Told("converse", whole, stream, seen, price, nanos)


def ollama(counts: bytes, price: Price, seen: Usage, nanos: int) -> Told:
    head = b'"model":"m","created_at":"2026-11-21T12:00:00Z","message":{"role":"assistant","content":'
    end = b'"done":true,"done_reason":"stop"%b' % counts
    whole = b'{%b"hi"},%b}' % (head, end)
    stream = b'{%b"hi"},"done":false}\n{%b""},%b}\n' % (head, head, end)
    return Told("ollama", whole, stream, seen, price, nanos)


CASES = {
    # 400 fresh x 2500, 600 cached x 1250, 200 out x 10000: reasoning is a part of what comes out.
    "OpenAI's prompt_tokens include the cached ones": openai(
        b'{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200,'
        b'"prompt_tokens_details":{"cached_tokens":600},"completion_tokens_details":{"reasoning_tokens":150}}',
        GPT,
        Usage(input=1000, output=200, cache_read=600, reasoning=150),
        400 * 2500 + 600 * 1250 + 200 * 10_000,
    ),
    "OpenAI's plain usage": openai(
        b'{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}', GPT, Usage(input=12, output=3), 60_000
    ),
    # DeepSeek's own names say the same: hits are parts of the prompt.
    "DeepSeek's cache hits are parts of the prompt": openai(
        b'{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,'
        b'"prompt_cache_hit_tokens":900,"prompt_cache_miss_tokens":100}',
        GPT,
        Usage(input=1000, output=10, cache_read=900),
        100 * 2500 + 900 * 1250 + 10 * 10_000,
    ),
    # The total tells that xAI counts reasoning beside the completion, and it is paid as output.
    "xAI's reasoning stands beside its completion": openai(
        b'{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,'
        b'"completion_tokens_details":{"reasoning_tokens":100}}',
        GPT,
        Usage(input=10, output=105, reasoning=100),
        10 * 2500 + 105 * 10_000,
    ),
    "an explicit 0 is 0": openai(
        b'{"prompt_tokens":12,"completion_tokens":0,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":0}}',
        GPT,
        Usage(input=12, output=0, cache_read=0),
        12 * 2500,
    ),
    # 100 fresh x 2500, 600 cached x 1250, 300 stored x 2500, 200 out x 10000.
    "the Responses API's input_tokens include the cached ones and those that were stored": responses(
        b'{"input_tokens":1000,"input_tokens_details":{"cached_tokens":600,"cache_write_tokens":300},'
        b'"output_tokens":200,"output_tokens_details":{"reasoning_tokens":150},"total_tokens":1200}',
        GPT,
        Usage(input=1000, output=200, cache_read=600, cache_write_5m=300, reasoning=150),
        400 * 2500 + 600 * 1250 + 200 * 10_000,
    ),
    "reasoning beside the output of the Responses API": responses(
        b'{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":100},"total_tokens":115}',
        GPT,
        Usage(input=10, output=105, reasoning=100),
        10 * 2500 + 105 * 10_000,
    ),
    "Anthropic's input_tokens leave the cached ones out": anthropic(
        b'"input_tokens":100,"cache_read_input_tokens":600,"cache_creation_input_tokens":0',
        b'"output_tokens":50',
        CLAUDE,
        Usage(input=700, output=50, cache_read=600, cache_write_5m=0),
        100 * 3000 + 600 * 300 + 50 * 15_000,
    ),
    "Anthropic's cache writes for five minutes": anthropic(
        b'"input_tokens":100,"cache_read_input_tokens":0,"cache_creation_input_tokens":400',
        b'"output_tokens":50',
        CLAUDE,
        Usage(input=500, output=50, cache_read=0, cache_write_5m=400),
        100 * 3000 + 400 * 3750 + 50 * 15_000,
    ),
    "Anthropic's cache writes for an hour beside those for five minutes": anthropic(
        b'"input_tokens":100,"cache_read_input_tokens":600,"cache_creation_input_tokens":300,'
        b'"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":100}',
        b'"output_tokens":50',
        CLAUDE,
        Usage(input=1000, output=50, cache_read=600, cache_write_5m=200, cache_write_1h=100),
        100 * 3000 + 600 * 300 + 200 * 3750 + 100 * 6000 + 50 * 15_000,
    ),
    "Bedrock's names leave the cached ones out": bedrock(
        b'{"inputTokens":100,"outputTokens":50,"totalTokens":1150,"cacheReadInputTokens":600,'
        b'"cacheWriteInputTokens":400}',
        CLAUDE,
        Usage(input=1100, output=50, cache_read=600, cache_write_5m=400),
        100 * 3000 + 600 * 300 + 400 * 3750 + 50 * 15_000,
    ),
    "Bedrock's cache writes, told apart by their time to live": bedrock(
        b'{"inputTokens":100,"outputTokens":50,"totalTokens":550,"cacheReadInputTokens":0,"cacheWriteInputTokens":400,'
        b'"cacheDetails":[{"ttl":"1h","inputTokens":100},{"ttl":"5m","inputTokens":300}]}',
        CLAUDE,
        Usage(input=500, output=50, cache_read=0, cache_write_5m=300, cache_write_1h=100),
        100 * 3000 + 300 * 3750 + 100 * 6000 + 50 * 15_000,
    ),
    "Bedrock's plain usage": bedrock(
        b'{"inputTokens":9,"outputTokens":8,"totalTokens":17}', CLAUDE, Usage(input=9, output=8), 147_000
    ),
    "Ollama's counts": ollama(
        b',"prompt_eval_count":26,"eval_count":298', LOCAL, Usage(input=26, output=298), 26 * 100 + 298 * 400
    ),
}
cases = pytest.mark.parametrize("told", CASES.values(), ids=CASES.keys())


def streamed(told: Told) -> Usage:
    reader = dialect(told.speaks).reader(Op.CHAT)
    seen = Usage()
    for frame in [*reader.feed(told.stream), *reader.end()]:
        for event in frame.events:
            if isinstance(event, Used):
                seen = seen.merged(event.usage)
    return seen


@cases
def test_what_a_provider_tells_is_read_alike_whole_glanced_at_and_streamed(told: Told) -> None:
    speaks = dialect(told.speaks)
    assert speaks.read_answer(Op.CHAT, told.whole).usage == told.usage
    assert speaks.glance(Op.CHAT, told.whole).usage == told.usage
    assert streamed(told) == told.usage


@cases
def test_what_it_costs_is_exact(told: Told) -> None:
    assert cost_nanos(told.usage, told.price) == told.nanos


@cases
@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
@pytest.mark.parametrize("stream", [False, True])
def test_cached_tokens_counted_twice(told: Told, front: str, stream: bool) -> None:
    """They are not: from any provider to any caller, the books show the provider's figures, once."""
    house = House(target(told.speaks, "cloud", price=told.price), budgets=(budget(cap="100"),))
    kind = b"application/json" if not stream else dialect(told.speaks).stream_type
    given = Given([told.stream if stream else told.whole], headers=[(b"content-type", kind)])
    answer, _, exchange = house.serve(given, caller=ask(front, "asked", stream=stream))
    assert answer.status == 200, answer.body
    (attempt,) = exchange.attempts
    assert not attempt.counted
    assert attempt.usage == told.usage
    assert attempt.cost_nanos == told.nanos
    assert house.spent("b:2026-11-21") == told.nanos


def test_what_is_missing_is_counted_and_said_to_be() -> None:
    """Half of a usage is not taken for the whole of it."""
    missing = openai(b'{"prompt_tokens":12}', GPT, Usage(input=12), 0)
    house = House(target(price=GPT), budgets=(budget(cap="100"),))
    _, _, exchange = house.serve(Given([missing.whole], headers=[(b"content-type", b"application/json")]))
    (attempt,) = exchange.attempts
    assert (attempt.counted, attempt.usage) == (True, Usage(input=12, output=1))
    assert house.spent("b:2026-11-21") == 12 * 2500 + 10_000


def test_a_stream_cut_after_its_first_figures_keeps_them() -> None:
    """Anthropic says at once what the prompt was; the answer is counted as far as it came."""
    told = CASES["Anthropic's cache writes for five minutes"]
    pieces = told.stream.split(b"event: content_block_stop")[0]
    house = House(target("anthropic", "cloud", price=CLAUDE), budgets=(budget(cap="100"),))
    house.serve(Given([pieces, failure(Kind.CUT)]), caller=ask("anthropic", "asked", stream=True))
    assert house.spent("b:2026-11-21") == 100 * 3000 + 400 * 3750 + 1 * 15_000


def test_above_a_window_every_token_costs_the_dearer_price() -> None:
    """Not only those beyond it, and cached ones keep their part."""
    row = catalog()
    found = next(
        known.price
        for family in ("anthropic", "bedrock", "openai", "openrouter")
        for known in row.curated(family)
        if known.price is not None and known.price.above is not None
    )
    assert found.above is not None
    assert found.above_window is not None
    edge = Usage(input=found.above_window, output=10)
    over = Usage(input=found.above_window + 1, output=10)
    assert cost_nanos(edge, found) == -(-(found.above_window * found.input + 10 * found.output) // 1000)
    assert cost_nanos(over, found) == -(
        -((found.above_window + 1) * found.above.input + 10 * found.above.output) // 1000
    )


def test_a_batch_discount_is_for_batches_only() -> None:
    """The catalogue knows factors for batch jobs; an ordinary call costs the ordinary price."""
    rows = [row for row in catalog()._rows.values() if row.batch is not None]
    assert rows
    for row in rows:
        assert row.price().input == per_million(row.input)


def test_the_price_of_the_moment_stays() -> None:
    """A price edit never rewrites the past: what was settled was settled."""
    house = House(target(price=GPT), budgets=(budget(cap="100"),))
    told = CASES["OpenAI's plain usage"]
    given = Given([told.whole], headers=[(b"content-type", b"application/json")])
    house.serve(given)
    dearer = House(target(price=CLAUDE), budgets=house.budgets)
    dearer.ledger = house.ledger
    dearer.serve(given)
    assert house.spent("b:2026-11-21") == 60_000 + 12 * 3000 + 3 * 15_000


def test_an_embedding_costs_its_prompt() -> None:
    body = (
        b'{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":[0.5]}],'
        b'"usage":{"prompt_tokens":8,"total_tokens":8}}'
    )
    house = House(target(price=GPT, kind="embed"), budgets=(budget(cap="100"),))
    caller = Caller("/v1/embeddings", {"model": "asked", "input": "hi"})
    answer, _, _ = house.serve(Given([body], headers=[(b"content-type", b"application/json")]), caller=caller)
    assert answer.status == 200
    assert house.spent("b:2026-11-21") == 8 * 2500


# --- tiers of service --------------------------------------------------------------------------------------

TIERED = Price(
    input=per_million("2.50"), output=per_million("10"), factors=(("batch", 500), ("flex", 500), ("priority", 1_750))
)
AT_THE_USUAL = 100 * 2_500 + 20 * 10_000
SERVED = {
    "openai": (
        (
            b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
            b'"usage":{"prompt_tokens":100,"completion_tokens":20},"service_tier":"%b"}'
        ),
        sse(
            b'{"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}],"service_tier":"%b"}',
            b'{"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20},"service_tier":"%b"}',
            b"[DONE]",
        ),
    ),
    "responses": (
        (
            b'{"id":"r","status":"completed","output":[],"usage":{"input_tokens":100,"output_tokens":20},'
            b'"service_tier":"%b"}'
        ),
        sse(
            b'{"type":"response.created","response":{"id":"r","service_tier":"auto"}}',
            b'{"type":"response.completed","response":{"id":"r","service_tier":"%b","output":[],'
            b'"usage":{"input_tokens":100,"output_tokens":20}}}',
        ),
    ),
    "anthropic": (
        (
            b'{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hi"}],'
            b'"stop_reason":"end_turn","usage":{"input_tokens":100,"output_tokens":20,"service_tier":"%b"}}'
        ),
        sse(
            b'{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],'
            b'"usage":{"input_tokens":100,"output_tokens":1,"service_tier":"%b"}}}',
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":20}}',
            b'{"type":"message_stop"}',
            names=(b"message_start", b"message_delta", b"message_stop"),
        ),
    ),
}
"""With a gap where the provider says in which tier it served."""


def billed(speaks: str, tier: bytes, *, stream: bool) -> int:
    whole, streamed = SERVED[speaks]
    if not stream:
        return cost_nanos(dialect(speaks).glance(Op.CHAT, whole.replace(b"%b", tier)).usage, TIERED)
    reader = dialect(speaks).reader(Op.CHAT)
    seen = Usage()
    for frame in [*reader.feed(streamed.replace(b"%b", tier)), *reader.end()]:
        for event in frame.events:
            if isinstance(event, Used):
                seen = seen.merged(event.usage)
    return cost_nanos(seen, TIERED)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("speaks", SERVED)
def test_an_answer_is_billed_in_the_tier_it_was_given_in(speaks: str, stream: bool) -> None:
    """Whatever was asked for: the provider says what it did, and a word nobody knows is the usual price."""
    for tier, factor in ((b"flex", 500), (b"batch", 500), (b"priority", 1_750), (b"default", 1_000), (b"odd", 1_000)):
        assert billed(speaks, tier, stream=stream) == AT_THE_USUAL * factor // 1_000


def test_bedrock_names_the_tier_beside_the_usage() -> None:
    body = (
        b'{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",'
        b'"usage":{"inputTokens":100,"outputTokens":20},"serviceTier":{"type":"flex"}}'
    )
    assert cost_nanos(dialect("converse").glance(Op.CHAT, body).usage, TIERED) == AT_THE_USUAL // 2
    payload = b'{"usage":{"inputTokens":100,"outputTokens":20},"serviceTier":{"type":"priority"}}'
    headers = {":message-type": "event", ":event-type": "metadata", ":content-type": "application/json"}
    reader = dialect("converse").reader(Op.CHAT)
    (frame,) = reader.feed(eventstream.encode(headers, payload))
    (used,) = frame.events
    assert isinstance(used, Used)
    assert cost_nanos(used.usage, TIERED) == AT_THE_USUAL * 1_750 // 1_000


def test_a_factor_rounds_up_once() -> None:
    price = Price(input=1, output=0, factors=(("flex", 333),))
    assert [cost_nanos(Usage(input=count, service="flex"), price) for count in (1, 3003, 3004)] == [1, 1, 2]


def test_a_hold_covers_the_dearest_tier() -> None:
    """Who asks for flex may be served, and billed, as usual; who asks for nothing, by a project's own setting."""
    view = dialect("openai").view(Op.CHAT, b'{"model":"m","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}')
    assert ceiling_nanos(TIERED, view, 100) == AT_THE_USUAL * 1_750 // 1_000
    assert chars_within(AT_THE_USUAL, TIERED) <= chars_within(AT_THE_USUAL, GPT) * 1_000 // 1_750


def test_the_catalogue_and_the_file_name_factors() -> None:
    row = next(known for known in catalog().curated("openai") if known.price is not None and known.price.factors)
    assert row.price is not None
    assert dict(row.price.factors)["batch"] == 500
    assert priced(PriceTable(input=1, flex="0.5")).factors == (("flex", 500),)
    assert list(price_faults(PriceTable(input=1, flex=-1))) == [("flex", "expected a factor, from 0 to 100")]

"""What the simulated provider answers, in every dialect, and how it fails when a model's name asks for it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from laneway.chat import (
    Answer,
    ChatRequest,
    EmbedRequest,
    Event,
    Faulted,
    Finish,
    Finished,
    Format,
    Message,
    Op,
    Reasoning,
    Role,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolBegan,
    ToolCall,
    ToolChoice,
    ToolDelta,
    ToolMode,
    ToolResult,
    Usage,
    Used,
)
from laneway.dialects import dialect
from laneway.failure import Failure, FailureError, Kind
from laneway.policy.judging import pair_request, score_request
from laneway.policy.price import cost_nanos
from laneway.ports import Call, Clocks, Reply
from laneway.upstream import simulated
from laneway.upstream.simulated import MODELS, Simulated, behaviour, difficulty, skill
from laneway.upstream.simulated.questions import question, reply_text
from tests.harness.loop import run

PROVIDERS = ("openai", "responses", "anthropic", "ollama", "converse")
QUICK = Clocks(headers_s=0.02, first_content_s=0.02, between_chunks_s=0.02)


def asks(text: str = "What is 7*8?", **fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "", "messages": (Message(Role.USER, (Text(text),)),), "max_tokens": 1000, **fields})


def call_for(name: str, request: ChatRequest, model: str) -> Call:
    outgoing = dialect(name).write_request(request, model)
    return Call("POST", "simulated://models", f"/base{outgoing.path}", outgoing.headers, outgoing.body)


async def read_all(reply: Reply, limit_s: float = 1.0) -> tuple[bytes, Failure | None]:
    """The body, and how it broke off if it did."""
    body = b""
    try:
        while piece := await reply.read(limit_s):
            body += piece
    except FailureError as error:
        return body, error.failure
    return body, None


def fetch(call: Call, upstream: Simulated | None = None, clocks: Clocks = QUICK) -> tuple[Reply, bytes, Failure | None]:
    async def main() -> tuple[Reply, bytes, Failure | None]:
        reply = await (upstream or Simulated()).open(call, clocks)
        body, failure = await read_all(reply, clocks.between_chunks_s)
        await reply.close()
        return reply, body, failure

    return run(main())


def whole(name: str, model: str, request: ChatRequest, upstream: Simulated | None = None) -> Answer:
    reply, body, failure = fetch(call_for(name, request, model), upstream)
    assert (reply.status, failure) == (200, None), body
    return dialect(name).read_answer(Op.CHAT, body)


def stream(name: str, model: str, request: ChatRequest, upstream: Simulated | None = None) -> list[Event]:
    """The events of a stream; what broke it is its last one."""
    request = msgspec.structs.replace(request, stream=True, stream_usage=True)
    reply, body, failure = fetch(call_for(name, request, model), upstream)
    assert reply.status == 200, body
    reader = dialect(name).reader(Op.CHAT)
    frames = reader.feed(body) + (reader.end() if failure is None else [])
    return [event for frame in frames for event in frame.events] + ([] if failure is None else [Faulted(failure)])


def text_of(parts: Answer | list[Event]) -> str:
    if isinstance(parts, Answer):
        return "".join(part.text for part in parts.parts if isinstance(part, Text))
    return "".join(event.text for event in parts if isinstance(event, TextDelta))


def usage_of(events: list[Event]) -> Usage:
    usage = Usage()
    for event in events:
        if isinstance(event, Used):
            usage = usage.merged(event.usage)
    return usage


# --- skill and difficulty ----------------------------------------------------------------------------------


def test_a_model_is_right_where_its_skill_reaches_the_difficulty() -> None:
    for prompt, right in (
        ("What is 2+2?", "2 + 2 = 4."),
        ("17*23", "17 * 23 = 391."),
        ("Please compute 123 x 45.", "123 x 45 = 5535."),
        ("What is 144 / 12?", "144 / 12 = 12."),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Name the capital of Tanzania", "The capital of Tanzania is Dodoma."),
        ("How many r's are in strawberry?", "The letter r is in strawberry 3 times."),
    ):
        for model in ("sim-small", "sim-medium", "sim-large"):
            said = text_of(whole("openai", model, asks(prompt)))
            assert (said == right) is (skill(model) >= difficulty(prompt)), (model, prompt, said)


def test_the_models_differ_in_what_they_know() -> None:
    hard = [difficulty(prompt) for prompt in ("2+2", "17*23", "123*456", "capital of Palau")]
    assert hard == sorted(hard)
    assert skill("sim-small") < difficulty("17*23") <= skill("sim-medium")
    assert skill("sim-medium") < difficulty("123*456") <= skill("sim-large")
    assert skill("sim-large") < difficulty("What is the capital of Palau?")


def test_open_prompts_have_a_difficulty_too() -> None:
    short = difficulty("Say hello to my neighbour")
    long = difficulty("Prove the theorem, explain why, and compare its complexity. " + "Mind the details. " * 60)
    assert 0 < short < 0.4 < long < 1
    assert difficulty("Say hello to my neighbour") == short


@pytest.mark.parametrize("prompt", ["on 2024-01-02 we met", "version 1.2-3.4", "call 555-1234-567", "no numbers"])
def test_dates_and_versions_are_no_sums(prompt: str) -> None:
    assert "=" not in text_of(whole("openai", "sim-large", asks(prompt)))


def test_an_unknown_model_has_no_skill() -> None:
    assert skill("gpt-9") == 0.0
    assert skill("sim-small-slow-5ms") == skill("sim-small")


def test_prices_follow_skill() -> None:
    used = Usage(input=1_000_000, output=1_000_000)
    small, medium, large = (cost_nanos(used, MODELS[name].price) for name in ("sim-small", "sim-medium", "sim-large"))
    assert (small, medium, large) == (500_000_000, 3_000_000_000, 18_000_000_000)


def test_every_name_in_the_documentation_is_a_model() -> None:
    assert simulated.__doc__ is not None
    named = re.findall(r"(?<![\w-])sim-[\w-]*\w", simulated.__doc__)
    modifiers = re.findall(r"(?<![\w-])-[a-z][\w-]*\w", simulated.__doc__)
    assert {"sim-small", "sim-embed", "sim-refuse", "sim-echo-cut-after-3"} <= set(named)
    assert {"-down", "-hang-first", "-fail-429-after-2", "-long-400"} <= set(modifiers)
    for name in [*named, *(f"sim-small{modifier}" for modifier in modifiers if modifier != "-once")]:
        assert behaviour(name) is not None, name


@pytest.mark.parametrize(
    "name", ["gpt-9", "sim", "sim-", "sim-huge", "sim-small-", "sim-slow-ms", "sim-smallish", "xsim-small"]
)
def test_other_names_are_no_models(name: str) -> None:
    assert behaviour(name) is None


# --- every dialect can be the provider ---------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_whole_answer_in_every_dialect(name: str) -> None:
    answer = whole(name, "sim-small", asks())
    assert text_of(answer) == "7 * 8 = 56."
    assert answer.finish is Finish.STOP
    assert (answer.usage.input, answer.usage.output) == (3, 3)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_stream_in_every_dialect(name: str) -> None:
    events = stream(name, "sim-small", asks())
    assert text_of(events) == "7 * 8 = 56."
    assert sum(isinstance(event, TextDelta) for event in events) == 5
    assert [event.finish for event in events if isinstance(event, Finished)] == [Finish.STOP]
    assert not any(isinstance(event, Faulted) for event in events)
    usage = usage_of(events)
    assert (usage.input, usage.output) == (3, 3)


@pytest.mark.parametrize("name", PROVIDERS)
def test_pieces_cut_at_odd_places_say_the_same(name: str) -> None:
    for size in (1, 7, 100):
        cut = Simulated(piece_bytes=size)
        assert stream(name, "sim-small", asks(), cut) == stream(name, "sim-small", asks())
        assert whole(name, "sim-small", asks(), cut) == whole(name, "sim-small", asks())


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_same_request_gives_the_same_bytes(name: str) -> None:
    call = call_for(name, asks("Why is the sky blue?", stream=True), "sim-large")
    upstream = Simulated()
    assert fetch(call, upstream)[1] == fetch(call, upstream)[1] == fetch(call)[1]


@pytest.mark.parametrize("name", PROVIDERS)
def test_unknown_models_are_not_found(name: str) -> None:
    reply, body, _ = fetch(call_for(name, asks(), "gpt-9"))
    assert reply.status == 404
    assert dialect(name).read_failure(reply.status, reply.headers, body).kind is Kind.MODEL_MISSING


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_body_the_dialect_refuses_is_answered_with_400(name: str) -> None:
    call = call_for(name, asks(), "sim-small")
    reply, body, _ = fetch(msgspec.structs.replace(call, body=b'{"model":"sim-small","messages":7}'))
    assert reply.status == 400
    assert dialect(name).read_failure(reply.status, reply.headers, body).kind is Kind.BAD_REQUEST


def test_completions_and_token_counts() -> None:
    completions = fetch(Call("POST", "simulated://x", "/v1/completions", (), b'{"model":"sim-small","prompt":"7*8"}'))[
        1
    ]
    assert msgspec.json.decode(completions)["choices"][0]["text"] == "7 * 8 = 56."
    generated = fetch(
        Call("POST", "simulated://x", "/api/generate", (), b'{"model":"sim-small","prompt":"7*8","stream":false}')
    )[1]
    assert msgspec.json.decode(generated)["response"] == "7 * 8 = 56."
    counted = fetch(
        Call(
            "POST",
            "simulated://x",
            "/v1/messages/count_tokens",
            (),
            b'{"model":"sim-small","messages":[{"role":"user","content":"twelve chars"}]}',
        )
    )[1]
    assert msgspec.json.decode(counted) == {"input_tokens": 3}


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/v1/models", (), "openai"),
        ("/v1/models?limit=5", ((b"anthropic-version", b"2023-06-01"),), "anthropic"),
        ("/api/tags", (), "ollama"),
        ("/foundation-models", (), "converse"),
    ],
)
def test_the_models_are_listed_in_every_dialect(path: str, headers: tuple[tuple[bytes, bytes], ...], name: str) -> None:
    body = fetch(Call("GET", "simulated://x", path, headers))[1]
    assert [card.id for card in dialect(name).read_models(body)] == list(MODELS)


def test_an_empty_chat_of_ollama_loads_the_model() -> None:
    body = fetch(Call("POST", "simulated://x", "/api/chat", (), b'{"model":"sim-small","messages":[]}'))[1]
    assert msgspec.json.decode(body)["done_reason"] == "load"


def test_other_paths_and_methods_are_not_found() -> None:
    for method, path in (("GET", "/v1/chat/completions"), ("POST", "/v1/nothing"), ("DELETE", "/api/tags")):
        assert fetch(Call(method, "simulated://x", path, ()))[0].status == 404
    assert fetch(Call("GET", "simulated://x", "/api/version", ()))[0].status == 200


# --- what the names of models choose -----------------------------------------------------------------------

CITY = Tool(
    "get_weather",
    "Tells the weather.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 3},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
)


def test_an_echo_says_the_last_user_turn_again() -> None:
    request = asks(
        messages=(
            Message(Role.USER, (Text("first"),)),
            Message(Role.ASSISTANT, (Text("no"),)),
            Message(Role.USER, (Text("second\n  line \u2028"),)),
        )
    )
    assert text_of(whole("openai", "sim-echo", request)) == "second\n  line \u2028"
    assert text_of(stream("ollama", "sim-echo", request)) == "second\n  line \u2028"


@pytest.mark.parametrize("name", PROVIDERS)
def test_tools_are_called_with_arguments_that_fit(name: str) -> None:
    request = asks("What is the weather in Paris?", tools=(CITY,))
    calls = [part for part in whole(name, "sim-tools", request).parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == ["get_weather"]
    assert msgspec.json.decode(calls[0].arguments) == {"city": "Paris", "days": 3, "unit": "celsius"}
    events = stream(name, "sim-tools", request)
    assert [event.name for event in events if isinstance(event, ToolBegan)] == ["get_weather"]
    arguments = "".join(event.arguments for event in events if isinstance(event, ToolDelta))
    assert msgspec.json.decode(arguments) == msgspec.json.decode(calls[0].arguments)
    assert [event.finish for event in events if isinstance(event, Finished)] == [Finish.TOOLS]


def test_two_calls_at_once_where_the_prompt_wants_two() -> None:
    request = asks("Compare both: the weather in Paris and in Rome", tools=(CITY,))
    calls = [part for part in whole("openai", "sim-tools", request).parts if isinstance(part, ToolCall)]
    assert [msgspec.json.decode(call.arguments)["city"] for call in calls] == ["Paris", "Rome"]
    assert len({call.id for call in calls}) == 2
    single = msgspec.structs.replace(request, parallel_tools=False)
    assert len(whole("openai", "sim-tools", single).parts) == 1


def test_tools_are_called_only_where_that_is_wanted() -> None:
    def called(model: str, **fields: Any) -> bool:
        return whole("openai", model, asks(tools=(CITY,), **fields)).finish is Finish.TOOLS

    assert not called("sim-small")
    assert called("sim-small", tool_choice=ToolChoice(ToolMode.ANY))
    assert called("sim-small", tool_choice=ToolChoice(ToolMode.ONE, "get_weather"))
    assert not called("sim-tools", tool_choice=ToolChoice(ToolMode.NONE))


def test_a_tool_s_result_is_told_and_the_tool_not_called_again() -> None:
    request = asks(
        messages=(
            Message(Role.USER, (Text("Weather in Paris?"),)),
            Message(Role.ASSISTANT, (ToolCall("c1", "get_weather", '{"city":"Paris"}'),)),
            Message(Role.USER, (ToolResult("c1", (Text("21 degrees"),)),)),
        ),
        tools=(CITY,),
    )
    assert text_of(whole("openai", "sim-tools", request)) == "The tool says: 21 degrees"


def test_json_is_json_of_the_shape_asked_for() -> None:
    assert msgspec.json.decode(text_of(whole("openai", "sim-json", asks()))) == {"answer": "7 * 8 = 56."}
    assert msgspec.json.decode(text_of(whole("openai", "sim-small", asks(format=Format())))) == {
        "answer": "7 * 8 = 56."
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "sure": {"type": "boolean"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "score": {"type": ["number", "null"], "maximum": 1},
        },
        "required": ["answer", "next"],
        "$defs": {"tag": {"const": "sum"}},
    }
    made = msgspec.json.decode(text_of(whole("openai", "sim-small", asks(format=Format(schema=schema, name="x")))))
    assert made["answer"] == "7 * 8 = 56."
    assert (made["sure"], made["tags"], made["score"]) == (True, ["sum", "sum"], 1)
    assert isinstance(made["next"], dict)


@pytest.mark.parametrize("name", PROVIDERS)
def test_thinking_comes_before_the_answer(name: str) -> None:
    answer = whole(name, "sim-think", asks())
    assert [type(part) for part in answer.parts] == [Thinking, Text]
    kinds = [type(event) for event in stream(name, "sim-think", asks())]
    assert kinds.index(ThinkingDelta) < kinds.index(TextDelta)
    asked = asks(reasoning=Reasoning(enabled=True, budget=1024), max_tokens=4000)
    assert isinstance(whole("anthropic", "sim-small", asked).parts[0], Thinking)


def test_a_long_answer_has_as_many_deltas_as_the_name_says() -> None:
    events = stream("openai", "sim-long-400", asks(max_tokens=None))
    assert sum(isinstance(event, TextDelta) for event in events) == 400


def test_limits_are_kept() -> None:
    cut = whole("openai", "sim-echo", asks("one two three four", max_tokens=2))
    assert (text_of(cut), cut.finish, cut.usage.output) == ("one two ", Finish.LENGTH, 2)
    stopped = whole("anthropic", "sim-echo", asks("one two three four", stop=("three", "four")))
    assert (text_of(stopped).strip(), stopped.finish, stopped.stop_sequence) == (
        "one two",
        Finish.STOP_SEQUENCE,
        "three",
    )


def test_logprobs_where_they_are_asked_for() -> None:
    answer = whole("openai", "sim-small", asks(logprobs=2))
    assert [one.token for one in answer.logprobs] == ["7 ", "* ", "8 ", "= ", "56."]
    assert all(len(one.top) == 2 and one.logprob < 0 for one in answer.logprobs)


def test_a_slow_model_sleeps_and_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def main(call: Call) -> None:
        await read_all(await Simulated().open(call, Clocks()))

    asyncio.run(main(call_for("openai", asks(stream=True), "sim-large")))
    assert slept == []
    asyncio.run(main(call_for("openai", asks(stream=True), "sim-large-slow-20ms")))
    assert slept == [0.02] * 5
    slept.clear()
    asyncio.run(main(call_for("openai", asks(), "sim-large-slow-20ms")))
    assert slept == [0.1]


# --- embeddings --------------------------------------------------------------------------------------------


def embedded(*texts: str, model: str = "sim-embed", **fields: Any) -> tuple[tuple[float, ...], ...]:
    request = EmbedRequest(model="", texts=texts, **fields)
    outgoing = dialect("openai").write_embed_request(request, model)
    reply, body, _ = fetch(Call("POST", "simulated://x", outgoing.path, (), outgoing.body))
    assert reply.status == 200, body
    return dialect("openai").read_embedding(body).vectors


def test_vectors_have_length_one_and_repeat() -> None:
    first, second = embedded("the sky is blue", "stocks fell again today")
    assert len(first) == 64
    assert sum(value * value for value in first) == pytest.approx(1.0)
    assert embedded("the sky is blue") == (first,)
    assert first != second
    assert len(embedded("x", dimensions=16)[0]) == 16


def test_texts_that_share_words_are_near() -> None:
    sky, same, other = embedded("why is the sky blue", "the sky is blue, why?", "sell these bonds at once")

    def near(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert near(sky, same) == pytest.approx(1.0)
    assert near(sky, other) < 0.6


def test_ollama_s_embeddings_in_both_forms() -> None:
    newer = fetch(Call("POST", "simulated://x", "/api/embed", (), b'{"model":"sim-embed","input":["a","b"]}'))[1]
    older = fetch(Call("POST", "simulated://x", "/api/embeddings", (), b'{"model":"sim-embed","prompt":"a"}'))[1]
    assert msgspec.json.decode(newer)["embeddings"][0] == msgspec.json.decode(older)["embedding"]


def test_a_model_does_what_it_is_for() -> None:
    chat = fetch(call_for("openai", asks(), "sim-embed"))
    assert chat[0].status == 400
    embed = fetch(Call("POST", "simulated://x", "/v1/embeddings", (), b'{"model":"sim-small","input":"a"}'))
    assert embed[0].status == 400


# --- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("sim-fail-429", 429, Kind.RATE_LIMITED),
        ("sim-fail-503", 503, Kind.OVERLOADED),
        ("sim-fail-500", 500, Kind.UPSTREAM_ERROR),
        ("sim-fail-404", 404, Kind.MODEL_MISSING),
        ("sim-fail-401", 401, Kind.CREDENTIALS),
        ("sim-context-too-long", 400, Kind.CONTEXT_TOO_LONG),
    ],
)
def test_failures_mean_the_same_in_every_dialect(name: str, model: str, status: int, kind: Kind) -> None:
    for streaming in (False, True):
        reply, body, _ = fetch(call_for(name, asks(stream=streaming), model))
        assert reply.status == status
        assert dialect(name).read_failure(reply.status, reply.headers, body).kind is kind


def test_a_failure_may_pass_and_may_say_when() -> None:
    upstream = Simulated()
    assert fetch(call_for("openai", asks(), "sim-fail-503-once"), upstream)[0].status == 503
    assert text_of(whole("openai", "sim-fail-503-once", asks(), upstream)) == "7 * 8 = 56."
    assert upstream.asked["sim-fail-503-once"] == 2
    limited = fetch(call_for("openai", asks(), "sim-fail-429-after-2"))[0]
    assert (b"retry-after", b"2") in limited.headers


def test_a_prompt_longer_than_the_window_is_refused() -> None:
    reply, body, _ = fetch(call_for("openai", asks("x" * 140_000), "sim-small"))
    failure = dialect("openai").read_failure(reply.status, reply.headers, body)
    assert failure.kind is Kind.CONTEXT_TOO_LONG


def test_a_refusal_is_an_answer_and_a_block_is_not() -> None:
    assert whole("anthropic", "sim-refuse", asks()).finish is Finish.REFUSED
    reply, body, _ = fetch(call_for("openai", asks(), "sim-blocked"))
    assert dialect("openai").read_failure(reply.status, reply.headers, body).kind is Kind.REFUSED


@pytest.mark.parametrize(
    ("model", "kind", "clock"),
    [
        ("sim-down", Kind.CONNECT, None),
        ("sim-reset", Kind.RESET, None),
        ("sim-hang-headers", Kind.TIMEOUT, "headers"),
        ("sim-slow-50ms", Kind.TIMEOUT, "headers"),
    ],
)
def test_no_head_ever_comes(model: str, kind: Kind, clock: str | None) -> None:
    with pytest.raises(FailureError) as caught:
        fetch(call_for("openai", asks(), model))
    assert (caught.value.failure.kind, caught.value.failure.clock) == (kind, clock)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("model", "deltas", "kind"),
    [
        ("sim-cut-after-5", 5, Kind.CUT),
        ("sim-stall-after-5", 5, Kind.TIMEOUT),
        ("sim-hang-first", 0, Kind.TIMEOUT),
        ("sim-slow-50ms", 0, Kind.TIMEOUT),
        ("sim-error-in-stream", 3, Kind.UPSTREAM_ERROR),
    ],
)
def test_streams_break_where_their_names_say(name: str, model: str, deltas: int, kind: Kind) -> None:
    events = stream(name, model, asks())
    assert sum(isinstance(event, TextDelta) for event in events) == deltas
    assert isinstance(events[-1], Faulted)
    assert events[-1].failure.kind is kind
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize(
    ("model", "kind"),
    [("sim-cut-after-5", Kind.CUT), ("sim-stall-after-5", Kind.TIMEOUT), ("sim-hang-first", Kind.TIMEOUT)],
)
def test_whole_answers_break_too(model: str, kind: Kind) -> None:
    reply, body, failure = fetch(call_for("openai", asks(), model))
    assert reply.status == 200
    assert failure is not None
    assert failure.kind is kind
    assert int(dict(reply.headers)[b"content-length"]) > len(body)
    assert fetch(call_for("openai", asks(), "sim-error-in-stream"))[0].status == 500


def test_a_web_page_is_no_answer() -> None:
    reply, body, _ = fetch(call_for("openai", asks(), "sim-html"))
    assert (reply.status, dict(reply.headers)[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")


# --- the reply as a port -----------------------------------------------------------------------------------


def test_the_end_of_a_body_can_be_read_again() -> None:
    async def main() -> None:
        reply = await Simulated().open(call_for("openai", asks(), "sim-small"), QUICK)
        assert all(name == name.lower() for name, _ in reply.headers)
        assert (await read_all(reply))[0]
        assert await reply.read(1.0) == b""
        await reply.close()
        await reply.close()
        assert await reply.read(1.0) == b""

    run(main())


def test_a_reply_closed_early_is_abandoned_and_reads_no_more() -> None:
    async def main() -> None:
        upstream = Simulated()
        reply = await upstream.open(call_for("openai", asks(stream=True), "sim-long-50"), QUICK)
        assert await reply.read(1.0)
        await reply.close()
        await reply.close()
        assert upstream.abandoned == 1
        with pytest.raises(FailureError) as caught:
            await reply.read(1.0)
        assert caught.value.failure.kind is Kind.CUT
        await upstream.close()

    run(main())


def test_a_failed_reply_keeps_failing() -> None:
    async def main() -> None:
        upstream = Simulated()
        reply = await upstream.open(call_for("openai", asks(stream=True), "sim-stall-after-5"), QUICK)
        _, failure = await read_all(reply, 0.01)
        _, again = await read_all(reply, 0.01)
        assert failure is not None
        assert failure == again
        assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "between_chunks")
        assert upstream.abandoned == 1

    run(main())


def test_a_read_that_is_cancelled_closes_the_reply() -> None:
    async def main() -> None:
        upstream = Simulated()
        reply = await upstream.open(call_for("openai", asks(stream=True), "sim-hang-first"), QUICK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await read_all(reply, 60.0)
        assert upstream.abandoned == 1

    run(main())


def test_names_that_callers_make_up_do_not_pile_up() -> None:
    async def main() -> None:
        upstream = Simulated()
        for number in range(5000):
            body = b'{"model":"sim-embed-long-%d","input":"a"}' % number
            await upstream.open(Call("POST", "simulated://x", "/api/embed", (), body), QUICK)
        assert len(upstream.asked) <= 4096

    run(main())


def test_the_judge_grades_what_it_is_shown() -> None:
    """It knows what was right, tells a guess from knowledge, and grades two answers in the order they stand in."""
    prompt, open_question = (
        "What is 17*23?",
        "Explain why concurrent caches need careful design in distributed systems.",
    )

    def graded(request: ChatRequest) -> str:
        return text_of(whole("openai", "sim-judge", request))

    known = question(prompt)
    assert known is not None
    assert graded(score_request(prompt, reply_text(prompt, "sim-large", skill("sim-large")))) == "10"
    assert graded(pair_request(prompt, known.wrong, known.right)) == "0 10"
    assert graded(pair_request(prompt, known.right, known.wrong)) == "10 0"
    guess, knowledge = (reply_text(open_question, "m", level) for level in (0.0, 1.0))
    assert graded(pair_request(open_question, guess, knowledge)) == "3 9"
    assert graded(score_request(open_question, "No.")) == "0"
    assert graded(asks()) == "There is nothing to grade."

"""What a dialect can say it can say without loss: `read(write(x)) == x`, for neutral values of every kind.

A `Tongue` states for each dialect what it has no word for; everything else is drawn at random. The same values also
prove the other half: where a dialect is asked to say more, it refuses by name or lists what it left out, never neither.
"""

from __future__ import annotations

import json
import string
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import (
    Answer,
    Card,
    ChatRequest,
    Document,
    Embedding,
    EmbedRequest,
    Event,
    Finish,
    Finished,
    Format,
    Image,
    Message,
    Op,
    Part,
    Reasoning,
    Role,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
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
from laneway.dialects import NAMES, Dialect, Stamp, dialect
from laneway.failure import FailureError, Kind
from tests.harness.streams import cut_at, read_events

STAMP = Stamp(id="r", model="m", now_s=1_700_000_000)


class Tongue(NamedTuple):
    """What a dialect says in its own way, as far as the law has to know."""

    model: str
    settings: frozenset[str]
    """Fields of a request that it has a word for, beyond those all have."""
    finishes: tuple[Finish, ...]
    many_texts: bool = True
    """Several texts in one turn stay several."""
    documents: bool = False
    urls: bool = False
    caches: bool = False
    thinks: str = ""
    """How thinking of an earlier turn goes back: "", "plain" or "signed"."""
    names_results: bool = False
    names_models: bool = True
    logprobs: bool = False
    usages: tuple[str, ...] = ("input", "output")


_SAMPLING = frozenset({"temperature", "top_p", "stop", "tool_choice"})
_LOCAL = frozenset({"seed", "presence_penalty", "frequency_penalty", "min_p", "repeat_penalty", "top_k", "logprobs"})
_ALL_BUT_REFUSED = tuple(finish for finish in Finish if finish not in (Finish.REFUSED, Finish.PAUSED, Finish.TOOLS))

TONGUES = {
    "openai": Tongue(
        model="local-model",
        settings=_SAMPLING
        | _LOCAL
        | {"stream", "parallel_tools", "user", "logit_bias", "choices", "json", "schema", "effort"},
        finishes=_ALL_BUT_REFUSED,
        documents=True,
        urls=True,
        names_results=True,
        logprobs=True,
        usages=("input", "output", "cache_read", "reasoning"),
    ),
    "responses": Tongue(
        model="gpt-5",
        settings=(_SAMPLING - {"stop"}) | {"stream", "parallel_tools", "user", "json", "schema", "effort", "logprobs"},
        finishes=(Finish.STOP, Finish.LENGTH, Finish.FILTERED),
        documents=True,
        urls=True,
        logprobs=True,
        usages=("input", "output", "cache_read", "cache_write_5m", "reasoning"),
    ),
    "anthropic": Tongue(
        model="claude-sonnet-4-6",
        settings=_SAMPLING | {"stream", "top_k", "parallel_tools", "user", "budget"},
        finishes=(Finish.STOP, Finish.STOP_SEQUENCE, Finish.LENGTH, Finish.REFUSED, Finish.PAUSED),
        documents=True,
        urls=True,
        caches=True,
        thinks="signed",
        usages=("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"),
    ),
    "ollama": Tongue(
        model="llama3.2:3b",
        settings=(_SAMPLING | _LOCAL | {"stream", "json", "schema", "window", "effort"}) - {"tool_choice"},
        finishes=(Finish.STOP, Finish.LENGTH),
        many_texts=False,
        thinks="plain",
        names_results=True,
        logprobs=True,
    ),
    "converse": Tongue(
        model="qwen.qwen3-next-80b-a3b",
        settings=_SAMPLING,
        finishes=(Finish.STOP, Finish.STOP_SEQUENCE, Finish.LENGTH, Finish.FILTERED),
        thinks="signed",
        names_models=False,
        usages=("input", "output", "cache_read"),
    ),
}

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(lambda text: f"w{text}w")
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
ids = names.map(lambda name: f"call_{name}")
base64s = st.sampled_from(("iVBORw0KGgoAAA==", "iVBORw0KGgoBBBBB"))
leaves = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
objects = st.dictionaries(
    st.text(max_size=6), st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4), max_size=3
)
arguments = objects.map(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False))
schemas: st.SearchStrategy[dict[str, Any]] = objects.map(
    lambda value: {"type": "object", "properties": {}, **{f"x-{name}": v for name, v in value.items()}}
)
fractions = st.sampled_from((0.0, 0.25, 0.5, 1.0))
counts = st.integers(0, 10**6)


def texts(tongue: Tongue) -> st.SearchStrategy[Text]:
    marks = st.sampled_from((None, "5m", "1h")) if tongue.caches else st.none()
    return st.builds(Text, words, marks)


@st.composite
def turns(draw: st.DrawFn, tongue: Tongue) -> tuple[Message, ...]:
    """A user asks, the assistant answers or calls, the user answers with results; and so on."""
    found: list[Message] = []
    used: set[str] = set()
    for _ in range(draw(st.integers(0, 2))):
        found.append(Message(Role.USER, draw(askings(tongue))))
        said: list[Part] = []
        if tongue.thinks == "plain" and draw(st.booleans()):
            said.append(Thinking(draw(words)))
        if tongue.thinks == "signed" and draw(st.booleans()):
            said.append(Thinking(draw(words), signature=draw(names)))
        said += draw(st.lists(texts(tongue), min_size=1, max_size=2 if tongue.many_texts else 1))
        calls = draw(st.lists(st.builds(ToolCall, ids, names, arguments), max_size=2))
        calls = [call for at, call in enumerate(calls) if call.id not in {*used, *(one.id for one in calls[:at])}]
        used |= {call.id for call in calls}
        found.append(Message(Role.ASSISTANT, (*said, *calls)))
        if calls:
            results = (
                ToolResult(call.id, (draw(texts(tongue)),), name=call.name if tongue.names_results else None)
                for call in calls
            )
            found.append(Message(Role.USER, tuple(results)))
            found.append(Message(Role.ASSISTANT, (draw(texts(tongue)),)))
    return (*found, Message(Role.USER, draw(askings(tongue))))


@st.composite
def askings(draw: st.DrawFn, tongue: Tongue) -> tuple[Part, ...]:
    parts: list[Part] = [*draw(st.lists(texts(tongue), min_size=1, max_size=3 if tongue.many_texts else 1))]
    if draw(st.booleans()):
        parts.append(Image(media_type="image/png", data=draw(base64s)))
    if tongue.urls and draw(st.booleans()):
        parts.append(Image(url="https://example.invalid/a.png"))
    if tongue.documents and draw(st.booleans()):
        parts.append(Document("application/pdf", draw(base64s), draw(st.none() | names)))
    return tuple(parts)


SETTINGS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "temperature": ("temperature", fractions),
    "top_p": ("top_p", fractions),
    "top_k": ("top_k", counts),
    "min_p": ("min_p", fractions),
    "stop": ("stop", st.lists(words, max_size=3).map(tuple)),
    "seed": ("seed", counts),
    "presence_penalty": ("presence_penalty", fractions),
    "frequency_penalty": ("frequency_penalty", fractions),
    "repeat_penalty": ("repeat_penalty", fractions),
    "user": ("user", names),
    "logprobs": ("logprobs", st.integers(0, 20)),
    "logit_bias": ("logit_bias", st.dictionaries(names, st.sampled_from((-100.0, 0.5, 7.0)), min_size=1, max_size=2)),
    "choices": ("choices", st.just(1)),
    "window": ("window", st.integers(1, 10**6)),
    "json": ("format", st.just(Format())),
    "schema": ("format", st.builds(Format, schemas, names, st.none() | st.booleans())),
    "effort": (
        "reasoning",
        st.sampled_from((Reasoning(enabled=False), Reasoning(effort="low"), Reasoning(effort="high"))),
    ),
    "budget": ("reasoning", st.builds(Reasoning, st.just(True), st.none(), st.integers(1024, 9999))),
}


@st.composite
def requests(draw: st.DrawFn, name: str) -> ChatRequest:
    tongue = TONGUES[name]
    fields: dict[str, Any] = {"max_tokens": draw(st.integers(1, 10**6))}
    for setting in sorted(tongue.settings & SETTINGS.keys()):
        field, strategy = SETTINGS[setting]
        if field not in fields and draw(st.booleans()):
            fields[field] = draw(strategy)
    if "schema" in tongue.settings and name == "ollama" and isinstance(fields.get("format"), Format):
        # A schema there has no name.
        fields["format"] = Format(fields["format"].schema)
    if "stream" in tongue.settings and draw(st.booleans()):
        fields["stream"] = fields["stream_usage"] = True
    tools = draw(
        st.lists(st.builds(Tool, names, st.none() | words, schemas), max_size=2, unique_by=lambda tool: tool.name)
    )
    if tools:
        fields["tools"] = tuple(tools)
        if "tool_choice" in tongue.settings and draw(st.booleans()):
            mode = draw(st.sampled_from((ToolMode.AUTO, ToolMode.ANY, ToolMode.ONE)))
            fields["tool_choice"] = ToolChoice(mode, tools[0].name if mode is ToolMode.ONE else None)
            if "parallel_tools" in tongue.settings:
                fields["parallel_tools"] = draw(st.none() | st.booleans())
                if name == "responses" and fields["parallel_tools"] is False:
                    # Its callers bear what nobody can keep a model from.
                    fields["hints"] = {"parallel_tool_calls": False}
    system = draw(st.lists(texts(tongue), max_size=2))
    return ChatRequest(model=tongue.model, system=tuple(system), messages=draw(turns(tongue)), **fields)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_request_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    speaks, request = dialect(name), data.draw(requests(name))
    written = speaks.write_request(request, request.model)
    read = speaks.read_request(Op.CHAT, written.body)
    if not TONGUES[name].names_models:
        # The model, and whether to stream, are in the path.
        read = msgspec.structs.replace(read, model=request.model)
    if name == "ollama":
        assert set(written.omitted) <= {"format.name", "format.strict"}
    else:
        assert written.omitted == ()
    assert read == request


@given(caller=st.sampled_from(NAMES), provider=st.sampled_from(NAMES), data=st.data())
def test_a_translation_loses_nothing_in_silence(caller: str, provider: str, data: st.DataObject) -> None:
    """Anything one dialect can say is said in the other, refused by the field's name, or listed."""
    request = data.draw(requests(caller))
    speaks = dialect(provider)
    failure, written = write(speaks, request, TONGUES[provider].model)
    if failure is not None:
        assert failure.failure.kind is Kind.UNSUPPORTED
        assert failure.failure.field
        return
    assert written is not None
    read = speaks.read_request(Op.CHAT, written.body)
    assert read.unknown == ()
    words_of = [part.text for message in request.messages for part in message.parts if isinstance(part, Text)]
    said = "\n".join(part.text for message in read.messages for part in message.parts if isinstance(part, Text))
    assert all(text in said for text in words_of)
    assert [tool.name for tool in read.tools] == [tool.name for tool in request.tools] or "tools" in written.omitted
    for field in ("temperature", "top_p", "top_k", "stop", "seed", "min_p", "repeat_penalty", "logit_bias", "logprobs"):
        assert getattr(read, field) == getattr(request, field) or field in written.omitted, field
    pictures = [part for message in request.messages for part in message.parts if isinstance(part, Image)]
    shown = [part for message in read.messages for part in message.parts if isinstance(part, Image)]
    assert [(part.data, part.url) for part in shown] == [(part.data, part.url) for part in pictures]


def write(speaks: Dialect, request: ChatRequest, model: str) -> tuple[FailureError | None, Any]:
    try:
        return None, speaks.write_request(request, model)
    except FailureError as error:
        return error, None


# --- answers and streams -----------------------------------------------------------------------------------


def usages(tongue: Tongue) -> st.SearchStrategy[Usage]:
    """The parts are never more than the whole."""
    return st.fixed_dictionaries({name: st.integers(0, 1000) for name in tongue.usages}).map(
        lambda figures: msgspec.convert(
            {**figures, "input": figures["input"] + 3000, "output": figures["output"] + 3000}, Usage
        )
    )


@st.composite
def answers(draw: st.DrawFn, name: str) -> Answer:
    tongue = TONGUES[name]
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Thinking(draw(words), "sig" if tongue.thinks == "signed" else None))
    parts.append(Text(draw(words)))
    calls = draw(st.lists(st.builds(ToolCall, ids, names, arguments), max_size=2, unique_by=lambda call: call.id))
    finish = Finish.TOOLS if calls else draw(st.sampled_from(tongue.finishes))
    logprobs: tuple[TokenLogprob, ...] = ()
    if tongue.logprobs:
        one = st.builds(TokenLogprob, words, st.floats(-9, 0), st.none() | st.just((104, 105)))
        tops = st.builds(TokenLogprob, words, st.floats(-9, 0), st.none(), st.lists(one, max_size=2).map(tuple))
        logprobs = tuple(draw(st.lists(tops, max_size=2)))
    return Answer(
        model="m-1",
        parts=(*parts, *calls),
        finish=finish,
        stop_sequence="END" if finish is Finish.STOP_SEQUENCE else None,
        usage=draw(usages(tongue)),
        logprobs=logprobs,
    )


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_answer_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    speaks, answer = dialect(name), data.draw(answers(name))
    read = speaks.read_answer(Op.CHAT, speaks.write_answer(Op.CHAT, answer, STAMP).body)
    told = ("parts", "finish", "usage", "logprobs")
    assert [getattr(read, field) for field in told] == [getattr(answer, field) for field in told]
    assert read.model == (answer.model if TONGUES[name].names_models else "")
    if name in ("openai", "anthropic"):
        assert read.stop_sequence == answer.stop_sequence
    glance = speaks.glance(Op.CHAT, speaks.write_answer(Op.CHAT, answer, STAMP).body)
    assert (glance.failure, glance.usage) == (None, answer.usage)


def stream_of(answer: Answer, cut: int) -> list[Event]:
    """The answer as a stream whose texts come in pieces of `cut` characters."""
    events: list[Event] = [Started("s", answer.model)]
    calls = 0
    for part in answer.parts:
        if isinstance(part, Text):
            events += [TextDelta(piece) for piece in pieces(part.text, cut)]
        elif isinstance(part, Thinking):
            events += [ThinkingDelta(piece) for piece in pieces(part.text, cut)]
            if part.signature is not None:
                events.append(ThinkingDelta(signature=part.signature))
        elif isinstance(part, ToolCall):
            events.append(ToolBegan(calls, part.id, part.name))
            events += [ToolDelta(calls, piece) for piece in pieces(part.arguments, cut)]
            calls += 1
    return [*events, Used(answer.usage), Finished(answer.finish, answer.stop_sequence)]


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def gather(events: list[Event]) -> Answer:
    """The answer that a stream amounts to."""
    text, thought, signature = "", "", None
    calls: dict[int, ToolCall] = {}
    usage, finish, model = Usage(), None, ""
    for event in events:
        if isinstance(event, Started):
            model = event.model
        elif isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, ThinkingDelta):
            thought += event.text
            signature = event.signature or signature
        elif isinstance(event, ToolBegan):
            calls[event.index] = ToolCall(event.id, event.name, "")
        elif isinstance(event, ToolDelta):
            known = calls[event.index]
            calls[event.index] = msgspec.structs.replace(known, arguments=known.arguments + event.arguments)
        elif isinstance(event, Used):
            usage = usage.merged(event.usage)
        elif isinstance(event, Finished):
            finish = event.finish
        else:
            raise AssertionError(event)
    assert finish is not None
    thinking = (Thinking(thought, signature),) if thought else ()
    return Answer(model=model, parts=(*thinking, Text(text), *calls.values()), finish=finish, usage=usage)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), cut=st.integers(1, 9), seed=st.randoms(use_true_random=False))
def test_a_stream_comes_back_as_it_was(name: str, data: st.DataObject, cut: int, seed: Any) -> None:
    """However the words came in pieces, and however the wire was cut."""
    speaks, answer = dialect(name), data.draw(answers(name))
    writer, reader = speaks.writer(Op.CHAT, STAMP, usage=True), speaks.reader(Op.CHAT)
    wire = b"".join(writer.write(event) for event in stream_of(answer, cut)) + writer.end()
    read = gather(read_events(reader, cut_at(wire, [seed.randint(0, len(wire)) for _ in range(30)])))
    assert (read.parts, read.finish, read.usage) == (answer.parts, answer.finish, answer.usage)
    assert read.model == (answer.model if TONGUES[name].names_models else "")


# --- completions, vectors and lists ------------------------------------------------------------------------


@given(prompt=words, stream=st.booleans(), logprobs=st.none() | st.integers(0, 5), limit=st.none() | counts)
def test_a_legacy_completion_comes_back_as_it_was(
    prompt: str, stream: bool, logprobs: int | None, limit: int | None
) -> None:
    speaks = dialect("openai")
    request = ChatRequest(
        op=Op.COMPLETE,
        model="davinci-002",
        messages=(Message(Role.USER, (Text(prompt),)),),
        stream=stream,
        stream_usage=stream,
        logprobs=logprobs,
        max_tokens=limit,
    )
    assert speaks.read_request(Op.COMPLETE, speaks.write_request(request, request.model).body) == request


EMBEDDERS = {"openai": "embed-1", "ollama": "embed-1", "converse": "amazon.titan-embed-text-v2:0"}


@pytest.mark.parametrize("name", EMBEDDERS)
@given(text=words, dimensions=st.none() | st.sampled_from((256, 512, 1024)))
def test_an_embedding_request_comes_back_as_it_was(name: str, text: str, dimensions: int | None) -> None:
    speaks, model = dialect(name), EMBEDDERS[name]
    request = EmbedRequest(model=model, texts=(text,), dimensions=dimensions)
    written = speaks.write_embed_request(request, model)
    read = speaks.read_embed_request(Op.EMBED, written.body)
    assert written.omitted == ()
    assert (read.texts, read.dimensions, read.unknown) == (request.texts, request.dimensions, ())


@pytest.mark.parametrize("name", EMBEDDERS)
@given(
    vectors=st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), min_size=1),
    encoding=st.sampled_from((None, "float", "base64")),
)
def test_vectors_come_back_as_they_were(name: str, vectors: list[list[float]], encoding: str | None) -> None:
    speaks, model = dialect(name), EMBEDDERS[name]
    if name == "converse":
        vectors = vectors[:1]
    texts = tuple(str(place) for place in range(len(vectors)))
    request = EmbedRequest(model=model, texts=texts, encoding=encoding if name == "openai" else None)
    embedding = Embedding(model=model, vectors=tuple(map(tuple, vectors)))
    written = speaks.write_embedding(embedding, Stamp("r", model, 1, request))
    assert speaks.read_embedding(written.body).vectors == embedding.vectors


@given(
    cards=st.lists(
        st.builds(
            Card,
            id=words,
            provider=names,
            created_s=st.none() | st.integers(1, 2**31),
            display=st.none() | words,
            window=st.none() | st.integers(1, 10**7),
            output=st.none() | st.integers(1, 10**7),
        ),
        max_size=4,
    )
)
def test_a_model_list_comes_back_as_it_was(cards: list[Card]) -> None:
    speaks = dialect("openai")
    assert speaks.read_models(speaks.write_models(cards).body) == cards
    for name in NAMES:
        other = dialect(name)
        assert [card.id for card in other.read_models(other.write_models(cards).body)] == [card.id for card in cards]

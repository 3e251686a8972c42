"""The simulated models' answers, in neutral words.

Owns: making an `Answer` for a request, and the same answer as events; counting tokens by the one rule there is here:
four characters are a token, rounded up, and a picture is 256.
Refuses: wire formats and waiting.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from laneway.chat import (
    Answer,
    ChatRequest,
    Event,
    Finish,
    Finished,
    Image,
    Json,
    Part,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Timings,
    TokenLogprob,
    Tool,
    ToolBegan,
    ToolCall,
    ToolDelta,
    ToolMode,
    ToolResult,
    Usage,
    Used,
    last_user_text,
)
from laneway.upstream.simulated.judging import judge_text
from laneway.upstream.simulated.models import Behaviour
from laneway.upstream.simulated.questions import pick, question, reply_text
from laneway.upstream.simulated.shapes import Shaper

CHARS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 256
_PIECE = re.compile(r"\S+\s*|\s+")
_PARALLEL = re.compile(r"\b(?:two|both|parallel|each|twice)\b", re.IGNORECASE)


def tokens(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def prompt_tokens(request: ChatRequest) -> int:
    """Every character a model is given: instructions, turns, calls, results, and the tools on offer."""
    chars = sum(len(text.text) for text in request.system)
    images = 0
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult):
                chars += sum(len(inner.text) for inner in part.parts if isinstance(inner, Text))
                images += sum(isinstance(inner, Image) for inner in part.parts)
            elif isinstance(part, ToolCall):
                chars += len(part.name) + len(part.arguments)
            elif isinstance(part, Text | Thinking):
                chars += len(part.text)
            else:
                images += 1
    for tool in request.tools:
        chars += len(tool.name) + len(tool.description or "") + len(msgspec.json.encode(tool.schema or {}))
    return tokens(chars) + TOKENS_PER_IMAGE * images


def make_answer(request: ChatRequest, does: Behaviour, name: str) -> Answer:
    """What the model says; `does` decides how."""
    prompt = last_user_text(request)
    parts: list[Part] = []
    reasoning = request.reasoning
    if "think" in does.talents or (reasoning is not None and (reasoning.enabled or reasoning.effort)):
        parts.append(_thinking(prompt))
    calls = _calls(request, does, prompt)
    text, finish, stop_sequence = "", Finish.TOOLS, None
    if calls:
        parts += calls
    else:
        text, finish, stop_sequence = _limited(_text(request, does, name, prompt), request)
        parts.append(Text(text))
    usage = _usage(request, parts)
    per_s = does.model.tokens_per_s
    prompt_ns, answer_ns = ((usage.input or 0) * 50_000_000 // per_s, (usage.output or 0) * 1_000_000_000 // per_s)
    if "refuse" in does.talents:
        finish = Finish.REFUSED
    return Answer(
        model=name,
        parts=tuple(parts),
        finish=finish,
        stop_sequence=stop_sequence,
        usage=usage,
        logprobs=() if request.logprobs is None else tuple(_logprobs(text, request.logprobs)),
        timings=Timings(total_ns=prompt_ns + answer_ns, prompt_ns=prompt_ns, answer_ns=answer_ns),
    )


def _usage(request: ChatRequest, parts: list[Part]) -> Usage:
    thought = sum(tokens(len(part.text)) for part in parts if isinstance(part, Thinking))
    said = sum(tokens(len(part.text)) for part in parts if isinstance(part, Text))
    called = sum(tokens(len(part.name) + len(part.arguments)) for part in parts if isinstance(part, ToolCall))
    return Usage(input=prompt_tokens(request), output=thought + said + called, reasoning=thought or None)


# --- words -------------------------------------------------------------------------------------------------


def _text(request: ChatRequest, does: Behaviour, name: str, prompt: str) -> str:
    if does.long is not None or (does.at_delta and "echo" not in does.talents):
        # A fault after the n-th delta needs deltas after it.
        return " ".join(map(str, range(1, (does.long or does.at_delta + 10) + 1)))
    if "refuse" in does.talents:
        return "I cannot help with that."
    if "echo" in does.talents:
        return prompt
    if "judge" in does.talents:
        return judge_text(prompt)
    results = _results(request)
    said = f"The tool says: {results}" if results is not None else reply_text(prompt, name, does.model.skill)
    if request.format is None and "json" not in does.talents:
        return said
    schema = request.format.schema if request.format is not None else None
    value: Json = {"answer": said} if schema is None else Shaper(schema, prompt, text=said).value()
    return msgspec.json.encode(value).decode()


def _results(request: ChatRequest) -> str | None:
    """What the tools said, if they spoke last."""
    last = request.messages[-1].parts if request.messages else ()
    texts = [
        part.text
        for result in last
        if isinstance(result, ToolResult)
        for part in result.parts
        if isinstance(part, Text)
    ]
    return " and ".join(texts) if any(isinstance(part, ToolResult) for part in last) else None


def _limited(text: str, request: ChatRequest) -> tuple[str, Finish, str | None]:
    """The text as far as stop sequences and the token limit let it go."""
    found = [(at, stop) for stop in request.stop if stop and (at := text.find(stop)) >= 0]
    most = None if request.max_tokens is None else request.max_tokens * CHARS_PER_TOKEN
    if found:
        at, stop = min(found)
        if most is None or at <= most:
            return text[:at], Finish.STOP_SEQUENCE, stop
    if most is not None and len(text) > most:
        return text[:most], Finish.LENGTH, None
    return text, Finish.STOP, None


def _thinking(prompt: str) -> Thinking:
    asked = question(prompt)
    kind = "an open question" if asked is None else f"a question of difficulty {asked.difficulty:.2f}"
    text = f"The prompt has {len(prompt.split())} words and asks {kind}. I will answer in one breath."
    return Thinking(text, signature=hashlib.blake2b(text.encode(), digest_size=16).hexdigest())


# --- tools -------------------------------------------------------------------------------------------------


def _calls(request: ChatRequest, does: Behaviour, prompt: str) -> list[ToolCall]:
    choice = request.tool_choice
    mode = ToolMode.AUTO if choice is None else choice.mode
    forced = mode in (ToolMode.ANY, ToolMode.ONE)
    if not request.tools or mode is ToolMode.NONE:
        return []
    if not forced and ("tools" not in does.talents or _results(request) is not None):
        return []
    offered = [tool for tool in request.tools if choice is None or choice.name in (None, tool.name)]
    if not offered:
        return []
    count = 2 if request.parallel_tools is not False and _PARALLEL.search(prompt) else 1
    return [_call(offered[turn % len(offered)], prompt, turn) for turn in range(count)]


def _call(tool: Tool, prompt: str, turn: int) -> ToolCall:
    value: Any = Shaper(tool.schema or {"type": "object"}, prompt, turn).value()
    arguments = msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
    return ToolCall(f"call_{pick(f'{tool.name}/{prompt}/{turn}', 16**12):012x}", tool.name, arguments)


# --- the same, in pieces -----------------------------------------------------------------------------------


def pieces(text: str) -> list[str]:
    """Word by word, each with the space behind it."""
    return _PIECE.findall(text)


def _logprobs(text: str, alternatives: int) -> Iterator[TokenLogprob]:
    for piece in pieces(text):
        sure = -(1 + pick(piece, 400)) / 1000
        others = [TokenLogprob(f"{piece}{'~' * n}", round(sure - n, 3)) for n in range(alternatives)]
        yield TokenLogprob(piece, sure, tuple(piece.encode()), tuple(others))


def list_events(answer: Answer, created_s: int) -> Iterator[Event]:
    """The answer as a stream tells it."""
    yield Started(answer.id, answer.model, created_s)
    yield Used(Usage(input=answer.usage.input))
    logprobs = iter(answer.logprobs)
    calls = 0
    for part in answer.parts:
        if isinstance(part, Thinking):
            for piece in pieces(part.text):
                yield ThinkingDelta(piece)
            yield ThinkingDelta(signature=part.signature)
        elif isinstance(part, Text):
            for piece in pieces(part.text):
                yield TextDelta(piece, tuple(one for one in (next(logprobs, None),) if one is not None))
        elif isinstance(part, ToolCall):
            yield ToolBegan(calls, part.id, part.name)
            half = len(part.arguments) // 2
            yield ToolDelta(calls, part.arguments[:half])
            yield ToolDelta(calls, part.arguments[half:])
            calls += 1
    yield Used(answer.usage)
    yield Finished(answer.finish, answer.stop_sequence, answer.timings)

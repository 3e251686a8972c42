"""The items of an answer: a message, thoughts, calls of tools, each of them whole or still being told.

Owns: what is known of an item while a stream tells it, for who reads the stream and for who goes on writing it; how an
item looks on the wire; and the seal on a thought, which says whose signature it bears.
Refuses: events and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from laneway.chat import Thinking, TokenLogprob
from laneway.dialects.responses.tools import read_arguments
from laneway.thinking import ENCRYPTED
from laneway.wire.logprobs import TokenBody, read_tokens

MESSAGE, REASONING, CALL, FREE_CALL = "message", "reasoning", "function_call", "custom_tool_call"
KINDS: Final = frozenset((MESSAGE, REASONING, CALL, FREE_CALL))
PREFIXES: Final = {MESSAGE: "msg", REASONING: "rs", CALL: "fc", FREE_CALL: "ctc"}

# In `encrypted_content`, before what another provider's model signed or hid, so that both come back as they went.
_SIGNED, _HIDDEN = "laneway.signed:", "laneway.hidden:"


def read_sealed(thought: str, sealed: str | None) -> Thinking:
    """A thought with its seal as a neutral part."""
    if not sealed:
        return Thinking(thought)
    if sealed.startswith(_SIGNED):
        return Thinking(thought, sealed.removeprefix(_SIGNED))
    if sealed.startswith(_HIDDEN):
        return Thinking(redacted=sealed.removeprefix(_HIDDEN))
    return Thinking(thought, ENCRYPTED + sealed)


def write_seal(signature: str | None, redacted: str | None) -> str | None:
    if redacted is not None:
        return _HIDDEN + redacted
    if signature is None:
        return None
    return signature.removeprefix(ENCRYPTED) if signature.startswith(ENCRYPTED) else _SIGNED + signature


class Item(msgspec.Struct):
    """`texts` are the parts that ended, `pieces` what was told of the one that is being told."""

    kind: str
    id: str
    index: int
    call_id: str = ""
    name: str = ""
    space: str = ""
    texts: list[str] = []
    pieces: list[str] = []
    part: bool = False
    """A part of it is being told."""
    sealed: str | None = None
    logprobs: list[TokenLogprob] = []
    open: bool = True

    def end_part(self) -> str:
        text = "".join(self.pieces)
        self.texts.append(text)
        self.pieces.clear()
        self.part = False
        return text

    def write(self, status: str = "completed") -> dict[str, Any]:
        texts = [*self.texts, "".join(self.pieces)] if self.pieces else self.texts
        if self.kind == MESSAGE:
            return write_message(self.id, [write_text(text, self.logprobs) for text in texts], status)
        if self.kind == REASONING:
            return write_reasoning(self.id, texts, self.sealed)
        tool = self.space, self.name
        return write_call(self.kind, self.id, self.call_id, tool, "".join(texts), status)


def write_text(text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": write_logprobs(logprobs)}


def write_message(name: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": name, "type": MESSAGE, "status": status, "role": "assistant", "content": content}


def write_reasoning(name: str, texts: Sequence[str], sealed: str | None) -> dict[str, Any]:
    """The seal is always told, whether or not `include` asks for it: nothing is kept here, and a model of some
    providers goes on only from the thoughts that it signed."""
    written: dict[str, Any] = {"id": name, "type": REASONING, "summary": [write_summary(text) for text in texts]}
    if sealed is not None:
        written["encrypted_content"] = sealed
    return written


def write_summary(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


def write_call(
    kind: str, name: str, call_id: str, tool: tuple[str, str], arguments: str, status: str
) -> dict[str, Any]:
    """`tool`: its group, if it has one, and its name. Clients parse a function's arguments, and an empty text is no
    JSON."""
    space, called = tool
    said = {"input": read_arguments(arguments)} if kind == FREE_CALL else {"arguments": arguments or "{}"}
    if status == "in_progress":
        said = dict.fromkeys(said, "")
    grouped = {"namespace": space} if space else {}
    return {"id": name, "type": kind, "status": status, "call_id": call_id, "name": called, **grouped, **said}


def write_logprobs(logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [_write_token(one) | {"top_logprobs": [_write_token(top) for top in one.top]} for one in logprobs]


def _write_token(one: TokenLogprob) -> dict[str, Any]:
    # Unlike in chat completions they are always a list here.
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.bytes or ())}


def read_logprobs(tokens: Sequence[TokenBody]) -> tuple[TokenLogprob, ...]:
    for token in tokens:
        for one in (token, *(token.top_logprobs or ())):
            one.bytes = one.bytes or None
    return read_tokens(tokens)

"""Log probabilities as OpenAI spells them, which Ollama and others took over.

Owns: the shape of one token and its reading into the neutral one.
Refuses: writing, because each format wants other fields of a token that has no alternatives or no bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from laneway.chat import TokenLogprob


class TokenBody(msgspec.Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TokenBody] | None = None


def read_tokens(tokens: Iterable[TokenBody]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            one.token,
            one.logprob,
            None if one.bytes is None else tuple(one.bytes),
            read_tokens(one.top_logprobs) if one.top_logprobs else (),
        )
        for one in tokens
    )

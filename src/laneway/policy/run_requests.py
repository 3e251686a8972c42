"""What a caller may ask of POST /v1/runs, read from a body into the request that a front will take.

Owns: the three ways to say it (`prompt`, `messages`, or any front's own body as `request`), the idempotency key, the
address to be told, the digest of it all, and the headers of the caller that belong to the request.
Refuses: judging the request itself (its front's dialect does), lanes and models (the lane room does), and addresses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from laneway.chat import Op
from laneway.dialects import FRONTS
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.wire.json import NONE, decode, decode_any, encode, read_fields
from laneway.wire.malformed import missing

USUAL = "/v1/chat/completions"
CHATS = {"openai": USUAL, "responses": "/v1/responses", "anthropic": "/v1/messages", "ollama": "/api/chat"}
"""The front that a dialect's name means."""
MOST_KEY = 255
_KEPT = frozenset({"traceparent", "anthropic-version", "anthropic-beta", "openai-beta", "http-referer", "x-title"})
"""Headers that go with a request, beside those under the gateway's own prefixes."""


class Telling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    secret: str = ""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/runs."""

    lane: str = ""
    model: str = ""
    prompt: str | None = None
    messages: msgspec.Raw = NONE
    request: msgspec.Raw = NONE
    front: str = ""
    idempotency_key: str = ""
    webhook: Telling | str | None = None


class Order(NamedTuple):
    """A run as it was asked for: `body` goes to the front at `path`, and is answered whole."""

    path: str
    body: bytes
    lane: str
    same: str
    hook: str
    secret: str
    print: str
    wrapped: bool
    """The caller sees what is wrong with the body at `request.` in his own."""


_asked = msgspec.json.Decoder(Asked)


def read_order(body: bytes, headers: Mapping[str, str], lane: str) -> Order:
    """Raises FailureError that names the field. `lane` is the one in the caller's headers, if any."""
    asked = decode(_asked, body)
    path = _front(asked)
    request = _request(asked, path)
    telling = Telling(asked.webhook) if isinstance(asked.webhook, str) else asked.webhook
    return Order(
        path=path,
        body=request,
        lane=asked.lane or lane,
        same=_same(asked, headers.get("idempotency-key", "")),
        hook=telling.url if telling is not None else "",
        secret=telling.secret if telling is not None else "",
        print=_print(body, asked.lane or lane),
        wrapped=bool(asked.request),
    )


def _front(asked: Asked) -> str:
    if not asked.front:
        return USUAL
    if not asked.request:
        raise fail(Kind.BAD_REQUEST, "front: belongs to a `request`; leave it out here.", field="front")
    path = CHATS.get(asked.front, asked.front)
    front = FRONTS.get(path)
    if front is None or front.op is Op.COUNT:
        known = ", ".join((*CHATS, *(name for name, each in FRONTS.items() if each.op is not Op.COUNT)))
        raise fail(Kind.BAD_REQUEST, f"front: '{asked.front[:80]}' takes no runs; known: {known}.", field="front")
    return path


def _request(asked: Asked, path: str) -> bytes:
    """The front's body: with a model, and answered whole, for nobody reads along."""
    said = [name for name in ("prompt", "messages", "request") if getattr(asked, name) not in (None, NONE)]
    if not said:
        raise missing("prompt")
    if len(said) > 1:
        raise fail(Kind.BAD_REQUEST, f"{said[1]}: stands beside {said[0]}; say one of them.", field=said[1])
    fields: dict[str, Any]
    if asked.prompt is not None:
        fields = {"messages": [{"role": "user", "content": asked.prompt}]}
    elif asked.messages:
        fields = {"messages": asked.messages}
    else:
        fields = dict(_in_request(asked.request))
    named = decode_any(fields["model"]) if "model" in fields else None
    if asked.model and named not in (None, asked.model):
        raise fail(Kind.BAD_REQUEST, "model: is another one than the request's own; say it once.", field="model")
    if named is None:
        fields["model"] = asked.model or "auto"
    if FRONTS[path].op is not Op.EMBED:
        fields["stream"] = False
        # OpenAI's API refuses it beside an answer that is not streamed.
        fields.pop("stream_options", None)
    return encode(fields)


def _in_request(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return read_fields(raw)
    except FailureError as error:
        raise FailureError(within_request(error.failure)) from None


def within_request(failure: Failure) -> Failure:
    """A refusal of the front's body, as seen from the whole one."""
    return replace(
        failure,
        message=f"In `request`: {failure.message}",
        field=f"request.{failure.field}" if failure.field else "request",
    )


def _same(asked: Asked, header: str) -> str:
    if asked.idempotency_key and header and header != asked.idempotency_key:
        message = "idempotency_key: the header Idempotency-Key says another one; say it once."
        raise fail(Kind.BAD_REQUEST, message, field="idempotency_key")
    key = asked.idempotency_key or header
    if len(key) > MOST_KEY or not key.isprintable():
        message = f"idempotency_key: expected 1 to {MOST_KEY} visible characters."
        raise fail(Kind.BAD_REQUEST, message, field="idempotency_key")
    return key


def _print(body: bytes, lane: str) -> str:
    """The same for whatever means the same: spaces and the order of keys do not count."""
    tree = decode_any(body)
    tree.pop("idempotency_key", None)
    tree["lane"] = lane
    return hashlib.sha256(msgspec.json.encode(tree, order="deterministic")).hexdigest()


def kept_headers(
    headers: Iterable[tuple[str, str]], prefixes: Sequence[str], lane: str = ""
) -> tuple[tuple[str, str], ...]:
    """Those that go with the request when it is executed, and the lane that it is for; never one that holds a key."""
    own = tuple(prefix.lower() for prefix in prefixes if prefix)
    lanes = {f"{prefix}lane" for prefix in own} if lane else set()
    kept = [
        (name, value)
        for name, value in headers
        if name in _KEPT or (own and name.startswith(own) and name not in lanes)
    ]
    if lane and own:
        # A header's value is read as Latin-1.
        kept.append((f"{own[0]}lane", lane.encode().decode("latin-1")))
    return tuple(kept)

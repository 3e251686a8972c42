"""One taxonomy of what can go wrong with a request.

Owns: the closed list of kinds, and for each kind the status a caller sees, whose fault it is, and who may try
again. A `Failure` is a value that travels on the Exchange; dialects turn it into the caller's own error shape.
Refuses: to know any wire format, and to carry a secret, a prompt or a provider's raw text in `message` (that
field is shown to callers; `detail` is for the record only).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Blame(StrEnum):
    """Whose fault a failure is: it decides what breakers and reports count."""

    CALLER = "caller"
    PROVIDER = "provider"
    GATEWAY = "gateway"


class Kind(StrEnum):
    """Every way a request can end badly."""

    MALFORMED_REQUEST = "malformed_request"
    UNSUPPORTED = "unsupported"
    UNAUTHENTICATED = "unauthenticated"
    OVER_BUDGET = "over_budget"
    FORBIDDEN = "forbidden"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_LANE = "unknown_lane"
    UNKNOWN_PATH = "unknown_path"
    WRONG_METHOD = "wrong_method"
    BODY_TIMEOUT = "body_timeout"
    RUN_ONLY = "run_only"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "refused"
    BAD_REQUEST = "bad_request"
    RATE_LIMITED = "rate_limited"
    QUEUE_FULL = "queue_full"
    CONNECT = "connect"
    RESET = "reset"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    UPSTREAM_ERROR = "upstream_error"
    CREDENTIALS = "credentials"
    MODEL_MISSING = "model_missing"
    MALFORMED_ANSWER = "malformed_answer"
    CUT = "cut"
    DIVERGED = "diverged"
    UNFIT = "unfit"
    NO_TARGET = "no_target"
    CALLER_GONE = "caller_gone"
    STOPPING = "stopping"
    INTERNAL = "internal"


class Rule(msgspec.Struct, frozen=True):
    """What follows from a kind, whatever the provider."""

    status: int
    blame: Blame
    retry_same: bool = False
    try_next: bool = False


_C, _P, _G = Blame.CALLER, Blame.PROVIDER, Blame.GATEWAY

RULES: dict[Kind, Rule] = {
    Kind.MALFORMED_REQUEST: Rule(400, _C),
    # A target that cannot express a field is no verdict about the next one.
    Kind.UNSUPPORTED: Rule(400, _C, try_next=True),
    Kind.UNAUTHENTICATED: Rule(401, _C),
    Kind.OVER_BUDGET: Rule(402, _C),
    Kind.FORBIDDEN: Rule(403, _C),
    Kind.UNKNOWN_MODEL: Rule(404, _C),
    Kind.UNKNOWN_LANE: Rule(400, _C),
    Kind.UNKNOWN_PATH: Rule(404, _C),
    Kind.WRONG_METHOD: Rule(405, _C),
    Kind.BODY_TIMEOUT: Rule(408, _C),
    Kind.RUN_ONLY: Rule(409, _C),
    # What is asked for exists, and is not so that this could be done with it.
    Kind.CONFLICT: Rule(409, _C),
    Kind.TOO_LARGE: Rule(413, _C),
    Kind.CONTEXT_TOO_LONG: Rule(400, _C, try_next=True),
    # A provider's policy refusal and a caller's own mistake are answers: they are never routed around.
    Kind.REFUSED: Rule(400, _C),
    Kind.BAD_REQUEST: Rule(400, _C),
    Kind.RATE_LIMITED: Rule(429, _P, retry_same=True, try_next=True),
    Kind.QUEUE_FULL: Rule(503, _G, try_next=True),
    Kind.CONNECT: Rule(502, _P, try_next=True),
    Kind.RESET: Rule(502, _P, retry_same=True, try_next=True),
    Kind.TIMEOUT: Rule(504, _P, try_next=True),
    Kind.OVERLOADED: Rule(503, _P, try_next=True),
    Kind.UPSTREAM_ERROR: Rule(502, _P, retry_same=True, try_next=True),
    # The gateway's own key was turned away: the caller must not read that as "your key is wrong".
    Kind.CREDENTIALS: Rule(502, _G, try_next=True),
    Kind.MODEL_MISSING: Rule(502, _G, try_next=True),
    Kind.MALFORMED_ANSWER: Rule(502, _P, try_next=True),
    Kind.CUT: Rule(502, _P, try_next=True),
    # Saying something else than another model did is no fault of anybody's host.
    Kind.DIVERGED: Rule(502, _G, try_next=True),
    # An answer that a cascade's check turned down; the last one asked is never checked.
    Kind.UNFIT: Rule(502, _G, try_next=True),
    Kind.NO_TARGET: Rule(503, _G),
    Kind.CALLER_GONE: Rule(499, _C),
    Kind.STOPPING: Rule(503, _G),
    Kind.INTERNAL: Rule(500, _G),
}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that went wrong, safe to show to the caller except for `detail`."""

    kind: Kind
    message: str
    field: str | None = None
    retry_after_s: float | None = None
    provider_status: int | None = None
    clock: str | None = None
    detail: str | None = None

    @property
    def rule(self) -> Rule:
        return RULES[self.kind]

    @property
    def status(self) -> int:
        return RULES[self.kind].status


class FailureError(Exception):
    """Carries a Failure through the rooms of one module; it never crosses an ASGI boundary."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def fail(kind: Kind, message: str, *, field: str | None = None, detail: str | None = None) -> FailureError:
    """The usual way to leave a room: `raise fail(Kind.UNKNOWN_MODEL, "...")`."""
    return FailureError(Failure(kind=kind, message=message, field=field, detail=detail))

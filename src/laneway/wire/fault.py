"""What a provider's failure is to a caller, whichever format it came in.

Owns: the meaning of a bare status, one sentence for each kind, and the rule of who sees a provider's own words: the
caller, only where they are about the caller's own request (4xx), and without keys; else only the record, in `detail`.
Also the failures that every reader of answers finds: cut, not finished, not an answer at all.
Refuses: to know how an error looks on the wire; each format reads its own and brings the kind and the words here.
"""

from __future__ import annotations

from collections.abc import Mapping

from laneway.failure import Failure, Kind
from laneway.wire.redact import KEPT_CHARS, redact

STATUSES: Mapping[int, Kind] = {
    401: Kind.CREDENTIALS,
    # It is the gateway's account that is empty: another provider may help, repeating will not.
    402: Kind.CREDENTIALS,
    403: Kind.CREDENTIALS,
    # Nothing at that place: the gateway's model id or url is wrong, not the caller's request.
    404: Kind.MODEL_MISSING,
    405: Kind.MODEL_MISSING,
    410: Kind.MODEL_MISSING,
    408: Kind.TIMEOUT,
    413: Kind.TOO_LARGE,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    # Not registered anywhere; Anthropic and some aggregators say it for "overloaded".
    529: Kind.OVERLOADED,
}
"""What a status means where nothing else is said. A format that means something else by one says so itself."""

_SENTENCES: Mapping[Kind, str] = {
    Kind.CREDENTIALS: "The provider turned the gateway's own credentials away",
    Kind.MODEL_MISSING: "The provider does not have this model, or not for this account, or nothing answers at its url",
    Kind.TOO_LARGE: "The request is larger than the provider takes",
    Kind.RATE_LIMITED: "The provider's rate limit is reached",
    Kind.OVERLOADED: "The provider is overloaded",
    Kind.TIMEOUT: "The provider ran into its own time limit",
    Kind.UPSTREAM_ERROR: "The provider failed",
    Kind.CONTEXT_TOO_LONG: "The request is longer than the model's context window",
    Kind.REFUSED: "The provider's content policy refused the request",
    Kind.UNSUPPORTED: "The model does not take a part of the request",
    Kind.BAD_REQUEST: "The provider refused the request",
}
# About the caller's own request, so that the provider's explanation belongs to the caller.
_EXPLAINED = frozenset((Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG, Kind.UNSUPPORTED, Kind.REFUSED))

CUT = Failure(kind=Kind.CUT, message="The provider's stream ended before the answer did.")
UNFINISHED = Failure(kind=Kind.CUT, message="The provider's answer does not say that it is finished.")


def read_status(status: int) -> Kind:
    """The kind of a status that nothing explains."""
    return STATUSES.get(status) or (Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR)


def is_explained(kind: Kind, status: int) -> bool:
    """Whether the words behind a failure are the caller's to read. `status` 0 is an error with none of its own, inside
    a stream or a 200: there the kind alone says that it would have been a 4xx."""
    return kind in _EXPLAINED and (status == 0 or 400 <= status < 500)


def describe(
    kind: Kind,
    words: str,
    status: int,
    *,
    named: str = "",
    field: str | None = None,
    retry_after_s: float | None = None,
) -> Failure:
    """The failure that a provider's error is. `named` is what the provider calls it, which only the record keeps."""
    sentence = _SENTENCES[kind]
    explained = is_explained(kind, status)
    if explained and words:
        message = f"{sentence}: {redact(words)}"
    else:
        message = f"{sentence} (status {status})." if status else f"{sentence}."
    return Failure(
        kind=kind,
        message=message,
        field=redact(field) if explained and field else None,
        retry_after_s=retry_after_s,
        provider_status=status or None,
        detail=redact(f"{named} {words}", KEPT_CHARS) or None,
    )


def misfit(form: str, detail: str = "") -> Failure:
    """A success that brought no answer; `form` says what was to be expected."""
    return Failure(
        kind=Kind.MALFORMED_ANSWER,
        message=f"The provider's success did not bring {form}; check that its url points at a model endpoint.",
        detail=redact(detail, KEPT_CHARS) or None,
    )

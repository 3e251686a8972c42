"""Failures in Bedrock's format, both ways.

Owns: what an exception's name or a status means, in a response and inside an event stream, and how a caller of this
format is told of a failure so that botocore raises the right class
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors).
Refuses: to show a provider's words, except where they are about the caller's own request; those lose whatever looks
like a key or an account. The rest goes into `detail`, for the record.
"""

from __future__ import annotations

import math
import re

import msgspec

from laneway.dialects import Headers, Written
from laneway.dialects.converse.schema import BROKEN
from laneway.failure import Failure, Kind

_encode = msgspec.json.Encoder().encode

_SHOWN_CHARS = 400
_READ_CHARS = 4000


class Said(msgspec.Struct, gc=False):
    """The body of an exception; `__type` is where older AWS protocols put its name."""

    message: str | None = None
    Message: str | None = None
    type: str | None = msgspec.field(default=None, name="__type")
    original: str | None = msgspec.field(default=None, name="originalMessage")

    def words(self) -> str:
        return " ".join(word for word in (self.message or self.Message, self.original) if word)


_body = msgspec.json.Decoder(Said)

_SECRET = re.compile(
    r"\barn:aws[\w-]*:[^\s,;]+"
    r"|(?i:bearer|credential=|signature=)\s*\S+"
    r"|\b(?:AKIA|ASIA|ABSK)\w{8,}"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{32,}\b"
)

# --- from a provider ---------------------------------------------------------------------------------------

_BY_NAME = {
    "throttling": Kind.RATE_LIMITED,
    "servicequotaexceeded": Kind.RATE_LIMITED,
    "toomanyrequests": Kind.RATE_LIMITED,
    "accessdenied": Kind.CREDENTIALS,
    "unrecognizedclient": Kind.CREDENTIALS,
    "expiredtoken": Kind.CREDENTIALS,
    "invalidsignature": Kind.CREDENTIALS,
    "incompletesignature": Kind.CREDENTIALS,
    "missingauthenticationtoken": Kind.CREDENTIALS,
    "invalidclienttokenid": Kind.CREDENTIALS,
    "notauthorized": Kind.CREDENTIALS,
    "optinrequired": Kind.CREDENTIALS,
    "validation": Kind.BAD_REQUEST,
    "conflict": Kind.BAD_REQUEST,
    "resourcenotfound": Kind.MODEL_MISSING,
    "unknownoperation": Kind.MODEL_MISSING,
    "modeltimeout": Kind.TIMEOUT,
    # 429 by its status, and yet no limit of the caller's: the model is still being loaded.
    "modelnotready": Kind.OVERLOADED,
    "serviceunavailable": Kind.OVERLOADED,
    "modelerror": Kind.UPSTREAM_ERROR,
    "modelstreamerror": Kind.UPSTREAM_ERROR,
    "internalserver": Kind.UPSTREAM_ERROR,
    "internalfailure": Kind.UPSTREAM_ERROR,
}
_BY_STATUS = {
    401: Kind.CREDENTIALS,
    403: Kind.CREDENTIALS,
    404: Kind.MODEL_MISSING,
    408: Kind.TIMEOUT,
    413: Kind.TOO_LARGE,
    424: Kind.UPSTREAM_ERROR,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
}

# One exception, ValidationException, says everything that is wrong with a request; only its words tell what.
_TOO_LONG = re.compile(
    r"(?:input|prompt) is too long|too many (?:input )?tokens|context (?:length|limit|window)", re.IGNORECASE
)
_NO_MODEL = re.compile(
    r"model identifier is invalid|on-demand throughput|model (?:id|identifier).*not (?:found|exist)", re.IGNORECASE
)
_UNABLE = re.compile(r"(?:doesn.t|does not|not) support", re.IGNORECASE)

_WORDS = {
    Kind.CREDENTIALS: "The provider turned the gateway's own credentials away",
    Kind.MODEL_MISSING: "The provider does not have this model, or not for this account and region",
    Kind.TOO_LARGE: "The request is larger than the provider takes",
    Kind.RATE_LIMITED: "The provider's rate limit is reached",
    Kind.OVERLOADED: "The provider is overloaded",
    Kind.TIMEOUT: "The provider ran into its own time limit",
    Kind.UPSTREAM_ERROR: "The provider failed",
    Kind.CONTEXT_TOO_LONG: "The prompt is longer than the model's context window",
    Kind.UNSUPPORTED: "The model does not take one of the request's fields",
    Kind.BAD_REQUEST: "The provider refused the request",
}
# About the caller's own request, so that the provider's explanation belongs to the caller.
_EXPLAINED = frozenset((Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG, Kind.UNSUPPORTED))


def classify(name: str, status: int, words: str) -> Kind:
    """`status` 0 is an exception inside a stream."""
    kind = _BY_NAME.get(name.lower().removesuffix("exception").removesuffix("error")) or _BY_NAME.get(
        name.lower().removesuffix("exception")
    )
    if kind is None:
        kind = _BY_STATUS.get(status, Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR)
    if kind is Kind.BAD_REQUEST:
        if _TOO_LONG.search(words):
            return Kind.CONTEXT_TOO_LONG
        if _NO_MODEL.search(words):
            return Kind.MODEL_MISSING
        if _UNABLE.search(words):
            return Kind.UNSUPPORTED
    return kind


def build_failure(name: str, said: Said, status: int, retry_after_s: float | None = None) -> Failure:
    words = said.words()
    kind = classify(name, status, words)
    if kind in _EXPLAINED and words:
        message = f"{_WORDS[kind]}: {redact(words)}"
    else:
        message = f"{_WORDS[kind]} (status {status})." if status else f"{_WORDS[kind]}."
    return Failure(
        kind=kind,
        message=message,
        retry_after_s=retry_after_s,
        provider_status=status or None,
        detail=redact(f"{name} {words}".strip()) or None,
    )


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    name, retry_after_s = "", None
    for header, value in headers:
        key = header.lower()
        if key == b"x-amzn-errortype":
            # Sometimes with an address behind it: "ThrottlingException:http://internal.amazon.com/..."
            name = value.decode("latin-1").partition(":")[0].strip()
        elif key == b"retry-after":
            retry_after_s = _seconds(value)
    said = read_said(body)
    if not name and said.type:
        name = said.type.rpartition("#")[2]
    return build_failure(name, said, status, retry_after_s)


def read_said(body: bytes) -> Said:
    try:
        return _body.decode(body)
    except BROKEN:
        # A page of some proxy explains nothing to anybody; a plain line may help whoever reads the record.
        text = body[:_READ_CHARS].decode("utf-8", "replace").lstrip()
        return Said(None if text.startswith("<") else text)


def redact(text: str) -> str:
    """Without anything that looks like a key or an account, on one line, of bounded length."""
    clean = " ".join(_SECRET.sub("[removed]", text[:_READ_CHARS]).split())
    return clean if len(clean) <= _SHOWN_CHARS else clean[:_SHOWN_CHARS] + "..."


def _seconds(value: bytes) -> float | None:
    try:
        wait_s = float(value)
    except ValueError:
        return None
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None


# --- to a caller -------------------------------------------------------------------------------------------

# Bedrock's own exceptions with the status each has there (botocore's service model).
_EXCEPTIONS: dict[Kind, tuple[int, str]] = {
    Kind.UNAUTHENTICATED: (403, "UnrecognizedClientException"),
    Kind.FORBIDDEN: (403, "AccessDeniedException"),
    Kind.OVER_BUDGET: (400, "ServiceQuotaExceededException"),
    Kind.UNKNOWN_MODEL: (404, "ResourceNotFoundException"),
    Kind.UNKNOWN_PATH: (404, "UnknownOperationException"),
    Kind.MODEL_MISSING: (404, "ResourceNotFoundException"),
    Kind.RATE_LIMITED: (429, "ThrottlingException"),
    Kind.QUEUE_FULL: (503, "ServiceUnavailableException"),
    Kind.OVERLOADED: (503, "ServiceUnavailableException"),
    Kind.NO_TARGET: (503, "ServiceUnavailableException"),
    Kind.STOPPING: (503, "ServiceUnavailableException"),
    Kind.TIMEOUT: (408, "ModelTimeoutException"),
    Kind.UPSTREAM_ERROR: (424, "ModelErrorException"),
    Kind.MALFORMED_ANSWER: (424, "ModelErrorException"),
    Kind.CUT: (424, "ModelErrorException"),
}
# A stream knows five of them only.
_STREAMED = {
    "ThrottlingException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelErrorException": "modelStreamErrorException",
    "ModelTimeoutException": "modelStreamErrorException",
    "ValidationException": "validationException",
}


def name_exception(failure: Failure) -> tuple[int, str]:
    found = _EXCEPTIONS.get(failure.kind)
    if found is None:
        found = (500, "InternalServerException") if failure.status >= 500 else (400, "ValidationException")
    return found


def write_streamed(failure: Failure) -> tuple[str, bytes]:
    """The name and payload of an exception inside a stream."""
    name = _STREAMED.get(name_exception(failure)[1], "internalServerException")
    return name, _encode({"message": failure.message})


def write_failure(failure: Failure, request_id: str) -> Written:
    status, name = name_exception(failure)
    headers: list[tuple[bytes, bytes]] = [(b"x-amzn-errortype", name.encode())]
    if request_id:
        headers.append((b"x-amzn-requestid", request_id.encode()))
    if failure.retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(failure.retry_after_s)).encode()))
    return Written(status=status, body=_encode({"message": failure.message}), headers=tuple(headers))

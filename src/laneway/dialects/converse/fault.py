"""Failures in Bedrock's format, both ways.

Owns: what an exception's name or a status means, in a response and inside an event stream, and how a caller of this
format is told of a failure so that botocore raises the right class
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors).
Refuses: to say who sees a provider's words: that rule is every format's (`wire.fault`).
"""

from __future__ import annotations

import re

import msgspec

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind
from laneway.wire.fault import describe, read_status
from laneway.wire.json import UNREADABLE, encode
from laneway.wire.redact import read_words
from laneway.wire.retry import read_retry_after, write_retry_after


class Said(msgspec.Struct, gc=False):
    """The body of an exception; `__type` is where older AWS protocols put its name."""

    message: str | None = None
    Message: str | None = None
    type: str | None = msgspec.field(default=None, name="__type")
    original: str | None = msgspec.field(default=None, name="originalMessage")

    def words(self) -> str:
        return " ".join(word for word in (self.message or self.Message, self.original) if word)


_body = msgspec.json.Decoder(Said)

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

# One exception, ValidationException, says everything that is wrong with a request; only its words tell what.
_TOO_LONG = re.compile(
    r"(?:input|prompt) is too long|too many (?:input )?tokens|context (?:length|limit|window)", re.IGNORECASE
)
_NO_MODEL = re.compile(
    r"model identifier is invalid|on-demand throughput|model (?:id|identifier).*not (?:found|exist)", re.IGNORECASE
)
_UNABLE = re.compile(r"(?:doesn.t|does not|not) support", re.IGNORECASE)


def classify(name: str, status: int, words: str) -> Kind:
    """`status` 0 is an exception inside a stream."""
    kind = _BY_NAME.get(name.lower().removesuffix("exception").removesuffix("error")) or _BY_NAME.get(
        name.lower().removesuffix("exception")
    )
    if kind is None:
        # 424 is how Bedrock says that the model failed.
        kind = Kind.UPSTREAM_ERROR if status == 424 else read_status(status)
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
    return describe(classify(name, status, words), words, status, named=name, retry_after_s=retry_after_s)


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    named = next((value for header, value in headers if header.lower() == b"x-amzn-errortype"), b"")
    # Sometimes with an address behind it: "ThrottlingException:http://internal.amazon.com/..."
    name = named.decode("latin-1").partition(":")[0].strip()
    said = read_said(body)
    if not name and said.type:
        name = said.type.rpartition("#")[2]
    return build_failure(name, said, status, read_retry_after(headers))


def read_said(body: bytes) -> Said:
    try:
        return _body.decode(body)
    except UNREADABLE:
        return Said(read_words(body))


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
    Kind.DIVERGED: (424, "ModelErrorException"),
    Kind.UNFIT: (424, "ModelErrorException"),
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
    return name, encode({"message": failure.message})


def write_failure(failure: Failure, request_id: str) -> Written:
    status, name = name_exception(failure)
    headers: list[tuple[bytes, bytes]] = [(b"x-amzn-errortype", name.encode())]
    if request_id:
        headers.append((b"x-amzn-requestid", request_id.encode()))
    headers += write_retry_after(failure)
    return Written(status=status, body=encode({"message": failure.message}), headers=tuple(headers))

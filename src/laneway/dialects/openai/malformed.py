"""What is wrong with a body, in plain words.

Owns: turning a decoder's complaint into one MALFORMED_REQUEST that names the place the way a caller would write it
(`messages[0].role`) and JSON's types by JSON's names.
Refuses: to quote the body, except for a short value where a word from a closed list was expected.
"""

from __future__ import annotations

import re

import msgspec

from laneway.failure import FailureError, Kind, fail

# All that decoding can raise; RecursionError is how the decoder says that a body is nested too deeply.
DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NAMES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `(?P<want>[^`]*)`(?P<bound> [<>]=? -?\d+)?(?:, got `(?P<got>[^`]*)`)?$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_ENUM = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_BYTE = re.compile(r"^JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)$")


def malformed(error: Exception, body: bytes) -> FailureError:
    """The refusal of a body that one of DECODING was raised for."""
    if isinstance(error, msgspec.ValidationError):
        return _mistyped(str(error))
    if isinstance(error, RecursionError):
        return _broken("it is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return _broken(f"invalid UTF-8 at byte {_bad_byte(body)}")
    if not body.strip():
        return fail(Kind.MALFORMED_REQUEST, "The body is empty; send a JSON object.")
    found = _BYTE.match(str(error))
    if found:
        return _broken(f"{found['what']} at byte {found['byte']}")
    return _broken(f"it ends too early, at byte {len(body)}")


def missing(path: str) -> FailureError:
    """The refusal of a body that lacks, or leaves empty, what cannot be left out."""
    return fail(Kind.MALFORMED_REQUEST, f"Missing `{path}`.", field=path)


def _broken(what: str) -> FailureError:
    return fail(Kind.MALFORMED_REQUEST, f"The body is not valid JSON: {what}.")


def _bad_byte(body: bytes) -> int:
    # The decoder counts from the beginning of the string it was in; a caller needs the place in the body.
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _mistyped(text: str) -> FailureError:
    parts = _AT.match(text)
    what, path = (parts["what"], parts["path"] or "$") if parts else (text, "$")
    path = path.removeprefix("$").removeprefix(".")
    lacking = _MISSING.match(what)
    if lacking:
        return missing(f"{path}.{lacking['name']}" if path else lacking["name"])
    message = f"{_plain(what)} at {path}" if path else f"{_plain(what)} as the body"
    return fail(Kind.MALFORMED_REQUEST, f"Wrong type: {message}.", field=path or None)


def _plain(what: str) -> str:
    expected = _EXPECTED.match(what)
    if expected:
        # That null would do as well helps nobody who sent something else.
        want = " or ".join(_NAMES.get(name, name) for name in expected["want"].split(" | ") if name != "null")
        got = expected["got"]
        return f"expected {want}{expected['bound'] or ''}" + (f", got {_NAMES.get(got, got)}" if got else "")
    enum = _ENUM.match(what)
    if enum:
        return f"unknown value {enum['value'][:40]}"
    return what[:1].lower() + what[1:120]

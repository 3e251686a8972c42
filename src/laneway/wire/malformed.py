"""What is wrong with a caller's body, in plain words, the same in every wire format.

Owns: turning a decoder's complaint into one MALFORMED_REQUEST that names the place the way a caller would write it
(`messages[0].role`) and JSON's types by words that need no programming language.
Refuses: to quote the body, except for a short value where a word from a closed list was expected.
"""

from __future__ import annotations

import re

import msgspec

from laneway.failure import FailureError, Kind, fail

_WANTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}
_GOT = {**_WANTED, "int": "a number"}
_BOUNDS = {"<=": " up to {}", ">=": " from {} on", "<": " below {}", ">": " above {}"}

_AT = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(
    r"^Expected `(?P<want>[^`]*)`(?P<length> of length)?(?: (?P<sign>[<>]=?) (?P<bound>\S+))?"
    r"(?:, got `(?P<got>[^`]*)`)?$"
)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$")
_EMPTY = re.compile(r"^Expected `[^`]*` of length >= 1$")
_ENUM = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_BYTE = re.compile(r"^JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)$")

_SHOWN_VALUE_CHARS = 40
_SHOWN_CHARS = 120


def malformed(error: Exception, body: bytes | msgspec.Raw) -> FailureError:
    """The refusal of a body that the decoder raised one of `json.UNREADABLE` for."""
    if isinstance(error, msgspec.ValidationError):
        return _misfit(str(error))
    if isinstance(error, RecursionError):
        return _broken("it is nested too deeply")
    raw = bytes(body)
    if isinstance(error, UnicodeDecodeError):
        return _broken(f"invalid UTF-8 at byte {_bad_byte(raw)}")
    if not raw.strip():
        return fail(Kind.MALFORMED_REQUEST, "The body is empty; send a JSON object.")
    found = _BYTE.match(str(error))
    if found:
        return _broken(f"{found['what']} at byte {found['byte']}")
    return _broken(f"it ends too early, at byte {len(raw)}")


def missing(path: str) -> FailureError:
    """The refusal of a body that lacks, or leaves empty, what cannot be left out."""
    return fail(Kind.MALFORMED_REQUEST, f"Missing `{path}`.", field=path)


def mistyped(path: str, wanted: str) -> FailureError:
    """The refusal of one field, where only its reader knows what belongs there."""
    return fail(Kind.MALFORMED_REQUEST, f"Wrong type: expected {wanted} at {path}.", field=path)


def _broken(what: str) -> FailureError:
    return fail(Kind.MALFORMED_REQUEST, f"The body is not valid JSON: {what}.")


def _bad_byte(body: bytes) -> int:
    # The decoder counts from the beginning of the string it was in; a caller needs the place in the body.
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _misfit(text: str) -> FailureError:
    parts = _AT.match(text)
    what, path = (parts["what"], parts["path"] or "") if parts else (text, "")
    path = path.removeprefix("$").removeprefix(".")
    lacking, unknown = _MISSING.match(what), _UNKNOWN.match(what)
    if lacking:
        return missing(f"{path}.{lacking['name']}" if path else lacking["name"])
    if unknown:
        name = f"{path}.{unknown['name']}" if path else unknown["name"]
        return fail(Kind.MALFORMED_REQUEST, f"Unknown field `{name[:_SHOWN_CHARS]}`.", field=name[:_SHOWN_CHARS])
    if path and _EMPTY.match(what):
        return missing(path)
    place = f" at {path}" if path else " as the body"
    return fail(Kind.MALFORMED_REQUEST, f"{_plain(what)}{place}.", field=path or None)


def _plain(what: str) -> str:
    expected = _EXPECTED.match(what)
    if expected:
        return _say_type(expected)
    enum = _ENUM.match(what)
    if enum:
        return f"Wrong value: unknown value {enum['value'][:_SHOWN_VALUE_CHARS]}"
    return f"Wrong value: {what[:1].lower()}{what[1:_SHOWN_CHARS]}".replace("`", "")


def _say_type(expected: re.Match[str]) -> str:
    # That null would do as well helps nobody who sent something else.
    names = [name for name in expected["want"].split(" | ") if name != "null"]
    if "float" in names and "int" in names:
        names.remove("int")
    want = " or ".join(_WANTED.get(name, name) for name in names)
    if expected["sign"]:
        bound = _BOUNDS[expected["sign"]].format(expected["bound"])
        return f"Wrong value: expected {want}{expected['length'] or ''}{bound}"
    got = expected["got"]
    if got is None:
        return f"Wrong type: expected {want}"
    said = _GOT.get(got, got)
    if got == "float" and "int" in names:
        said = "a number with a fraction"
    return f"Wrong type: expected {want}, got {said}"

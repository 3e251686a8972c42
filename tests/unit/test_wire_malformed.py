"""What a caller is told of a body that cannot be read, whatever format it is in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.failure import Failure, FailureError, Kind
from laneway.wire.json import UNREADABLE, decode, encode, patch, read_fields, read_schema, read_tree
from laneway.wire.malformed import malformed, missing, mistyped
from tests.harness.failures import failure_of


class Inner(msgspec.Struct):
    name: str


class Body(msgspec.Struct):
    role: Literal["user", "assistant"] = "user"
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    ratio: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    below: Annotated[int, msgspec.Meta(lt=5)] = 0
    words: Annotated[str, msgspec.Meta(min_length=1, max_length=3)] = "x"
    items: Annotated[list[Inner], msgspec.Meta(min_length=1)] | None = None
    number: int | float | None = None
    maybe: str | list[str] | bool | None = None
    table: dict[str, int] | None = None
    keyed: dict[int, str] | None = None
    free: msgspec.Raw = msgspec.Raw(b"")


BODY = msgspec.json.Decoder(Body)


def refusal(raw: bytes) -> Failure:
    return failure_of(decode, BODY, raw)


@pytest.mark.parametrize(
    ("said", "message", "field"),
    [
        ({"role": 1}, "Wrong type: expected text, got a number at role.", "role"),
        ({"role": "boss"}, "Wrong value: unknown value 'boss' at role.", "role"),
        ({"count": "1"}, "Wrong type: expected a whole number, got text at count.", "count"),
        ({"count": 1.5}, "Wrong type: expected a whole number, got a number with a fraction at count.", "count"),
        ({"count": True}, "Wrong type: expected a whole number, got true or false at count.", "count"),
        ({"count": None}, "Wrong type: expected a whole number, got null at count.", "count"),
        ({"count": -1}, "Wrong value: expected a whole number from 0 on at count.", "count"),
        ({"count": 10}, "Wrong value: expected a whole number up to 9 at count.", "count"),
        ({"below": 5}, "Wrong value: expected a whole number up to 4 at below.", "below"),
        ({"ratio": 0}, "Wrong value: expected a number above 0.0 at ratio.", "ratio"),
        ({"words": ""}, "Missing `words`.", "words"),
        ({"words": "abcd"}, "Wrong value: expected text of length up to 3 at words.", "words"),
        ({"items": []}, "Missing `items`.", "items"),
        ({"items": {}}, "Wrong type: expected a list, got an object at items.", "items"),
        ({"items": [{}]}, "Missing `items[0].name`.", "items[0].name"),
        ({"items": [{"name": "n"}, 3]}, "Wrong type: expected an object, got a number at items[1].", "items[1]"),
        ({"number": "x"}, "Wrong type: expected a number, got text at number.", "number"),
        ({"maybe": 1.5}, "Wrong type: expected true or false or text or a list, got a number at maybe.", "maybe"),
        ({"table": {"a": "b"}}, "Wrong type: expected a whole number, got text at table[...].", "table[...]"),
        ({"keyed": {"a": "b"}}, "Wrong type: expected a whole number, got text at keyed.", "keyed"),
    ],
)
def test_a_wrong_field_is_named_in_plain_words(said: dict[str, Any], message: str, field: str) -> None:
    failure = refusal(encode(said))
    assert (failure.kind, failure.message, failure.field) == (Kind.MALFORMED_REQUEST, message, field)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "The body is empty; send a JSON object."),
        (b" \n", "The body is empty; send a JSON object."),
        (b"{", "The body is not valid JSON: it ends too early, at byte 1."),
        (b"{'a': 1}", "The body is not valid JSON: object keys must be strings at byte 1."),
        (b'{"role":"\xff"}', "The body is not valid JSON: invalid UTF-8 at byte 9."),
        (b'{"other":"\xff"}', "The body is not valid JSON: invalid UTF-8 at byte 10."),
        (b'{"free":["\xff"]}', "The body is not valid JSON: invalid UTF-8 at byte 10."),
        (b"[]", "Wrong type: expected an object, got a list as the body."),
        (b'{"x":' * 100_000, "The body is not valid JSON: it is nested too deeply."),
    ],
)
def test_a_body_that_is_no_json_is_explained(raw: bytes, message: str) -> None:
    assert refusal(raw).message == message


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    inner: Closed | None = None


def test_a_field_that_a_closed_body_does_not_know_is_named() -> None:
    with pytest.raises(FailureError) as caught:
        decode(msgspec.json.Decoder(Closed), b'{"inner":{"other":1}}')
    assert (caught.value.failure.field, caught.value.failure.message) == ("inner.other", "Unknown field `inner.other`.")


def test_a_value_is_quoted_only_where_a_word_of_a_list_was_expected_and_then_shortly() -> None:
    assert "secret" not in refusal(b'{"count":"secret"}').message
    assert len(refusal(encode({"role": "long" * 100})).message) < 100


@given(st.binary(max_size=40))
def test_whatever_the_decoder_says_is_a_refusal_in_words(raw: bytes) -> None:
    try:
        BODY.decode(raw)
    except UNREADABLE as error:
        failure = malformed(error, raw).failure
        assert failure.kind is Kind.MALFORMED_REQUEST
        for word in ("`str`", "`int`", "$", "msgspec"):
            assert word not in failure.message


def test_a_reader_says_the_same_words_itself() -> None:
    assert missing("a.b").failure.message == "Missing `a.b`."
    assert missing("a.b").failure.field == "a.b"
    assert mistyped("a", "an object").failure.message == "Wrong type: expected an object at a."


def test_parts_of_a_body_are_read_with_their_bytes() -> None:
    assert bytes(read_fields(b'{"a": {"b" : 1}}')["a"]) == b'{"b" : 1}'
    assert read_tree(b'{"a":[1]}') == {"a": [1]}
    assert read_schema('{"type":"object"}', "p") == {"type": "object"}
    with pytest.raises(FailureError) as caught:
        read_schema(b"[1]", "tools[0].schema")
    assert caught.value.failure.field == "tools[0].schema"


def test_a_patch_changes_one_field_and_no_other_byte() -> None:
    assert patch(b'{"x": 1.0e2, "model":"a", "y":"\\u00e9"}', "model", "b") == b'{"x":1.0e2,"model":"b","y":"\\u00e9"}'
    with pytest.raises(FailureError):
        patch(b"[]", "model", "b")

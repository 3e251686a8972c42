"""The nouns beside the neutral conversation: tool calls, pictures, thinking, the counting of tokens, the unsayable."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.calls import answer_arguments, fit_id, read_arguments, replay_arguments
from laneway.chat import ChatRequest, Format, TokenLogprob, Tool, ToolCall, ToolChoice, ToolMode, Usage
from laneway.failure import FailureError, Kind
from laneway.pictures import Carried, read_data_url, sniff_type, write_data_url
from laneway.thinking import (
    ANSWER_TOKENS,
    BUDGETS,
    MIN_BUDGET,
    fit_budget,
    map_efforts,
    name_effort,
    takes_budget_only,
)
from laneway.tokens import count_fresh, gather, sum_stored
from laneway.unsayable import refuse_settings, unsayable
from laneway.wire.instant import read_instant
from laneway.wire.logprobs import TokenBody, read_tokens
from laneway.wire.strangers import list_beyond

ID = re.compile(r"[a-z0-9_]{1,12}")

# --- calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"city": "Bern"}', "{}", ' {"a":[1.50,"\\u00e9"]}\n'])
def test_arguments_keep_their_bytes(text: str) -> None:
    assert bytes(read_arguments(text) or b"") == text.encode()


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert bytes(read_arguments(text) or b"") == b"{}"


@pytest.mark.parametrize("text", ["[1]", "7", "null", '"x"', '{"a":', "{} {}", '{"a":' * 100_000])
def test_arguments_that_are_no_object_are_nobody_s_to_mend(text: str) -> None:
    assert read_arguments(text) is None
    call = ToolCall("c", "secret_tool", text)
    with pytest.raises(FailureError) as caught:
        replay_arguments(call, "messages[1].arguments")
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.UNSUPPORTED, "messages[1].arguments")
    with pytest.raises(FailureError) as caught:
        answer_arguments(call)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER
    assert "secret_tool" not in caught.value.failure.message


@given(st.text())
def test_an_id_has_the_pattern_and_stays_the_same(call_id: str) -> None:
    fitted = fit_id(call_id, ID, "toolu_")
    assert fit_id(call_id, ID, "toolu_") == fitted
    assert fitted == call_id if ID.fullmatch(call_id) else fitted.startswith("toolu_")


def test_ids_that_do_not_fit_stay_apart() -> None:
    assert fit_id("call.1", ID, "toolu_") != fit_id("call.2", ID, "toolu_")


# --- pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        ("iVBORw0KGgoAAAANSUhEUg==", "image/png"),
        ("/9j/4AAQSkZJRg==", "image/jpeg"),
        ("R0lGODlhAQABAIAAAAAAAP==", "image/gif"),
        ("UklGRiIAAABXRUJQ", "image/webp"),
        ("JVBERi0xLjQ=", None),
        ("", None),
    ],
)
def test_a_picture_says_what_it_is_in_its_first_bytes(data: str, media_type: str | None) -> None:
    assert sniff_type(data) == media_type


@pytest.mark.parametrize(
    ("url", "carried"),
    [
        ("data:image/png;base64,QUJD", Carried("image/png", "QUJD")),
        ("DATA:Image/PNG;name=a;base64,QUJD", Carried("image/png", "QUJD")),
        ("data:;base64,QUJD", Carried("text/plain", "QUJD")),
        ("data:text/plain,abc", None),
        ("data:image/png;base64", None),
        ("https://example.org/a.png", None),
    ],
)
def test_a_data_url_is_what_it_carries(url: str, carried: Carried | None) -> None:
    assert read_data_url(url) == carried


def test_a_data_url_is_read_as_it_was_written() -> None:
    assert read_data_url(write_data_url("image/gif", "R0lG")) == Carried("image/gif", "R0lG")


# --- thinking ----------------------------------------------------------------------------------------------


def test_an_effort_becomes_the_next_one_below_that_is_known() -> None:
    assert map_efforts("low", "medium", "high") == {
        "minimal": "low",
        "low": "low",
        "medium": "medium",
        "high": "high",
        "xhigh": "high",
        "max": "high",
    }
    assert map_efforts("low", "medium", "high", "max")["xhigh"] == "high"
    assert map_efforts(*BUDGETS) == {name: name for name in BUDGETS}


@given(effort=st.sampled_from([None, *BUDGETS]), max_tokens=st.none() | st.integers(0, 100_000))
def test_a_budget_leaves_room_for_an_answer(effort: str | None, max_tokens: int | None) -> None:
    budget = fit_budget(effort, max_tokens)
    if budget is None:
        assert max_tokens is not None
        assert max_tokens <= MIN_BUDGET
    else:
        assert MIN_BUDGET <= budget <= BUDGETS["max"]
        assert max_tokens is None or budget < max_tokens


def test_the_most_thinking_and_an_answer_fit_the_smallest_limit() -> None:
    assert max(BUDGETS.values()) + ANSWER_TOKENS < 32_000


@pytest.mark.parametrize(("budget", "effort"), [(1, "low"), (2048, "low"), (2049, "medium"), (8193, "high")])
def test_a_budget_comes_to_an_effort(budget: int, effort: str) -> None:
    assert name_effort(budget) == effort


@pytest.mark.parametrize(
    ("model", "only"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-sonnet-4-5-20250929", True),
        ("us.anthropic.claude-opus-4-20250514-v1:0", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-5", False),
        ("gpt-5", False),
    ],
)
def test_which_models_take_a_budget_only(model: str, only: bool) -> None:
    assert takes_budget_only(model) is only


# --- tokens ------------------------------------------------------------------------------------------------

COUNTS = st.none() | st.integers(0, 10_000)


@given(fresh=COUNTS, output=COUNTS, served=COUNTS, short=COUNTS, hour=COUNTS)
def test_counting_goes_there_and_back(
    fresh: int | None, output: int | None, served: int | None, short: int | None, hour: int | None
) -> None:
    stored = None if short is None and hour is None else (short or 0) + (hour or 0)
    usage = gather(fresh, output, served, stored, hour)
    assert (usage.output, usage.cache_read, usage.cache_write_1h) == (output, served, hour)
    assert sum_stored(usage) == stored
    assert usage.cache_write_5m == (None if stored is None else short or 0)
    if fresh is not None:
        assert usage.input == fresh + (served or 0) + (stored or 0)
        assert count_fresh(usage) == fresh


def test_figures_that_do_not_fit_each_other_are_not_negative() -> None:
    assert count_fresh(Usage(input=3, cache_read=5)) == 0
    assert gather(1, 1, None, 2, 5).cache_write_5m == 0


# --- the unsayable, instants, logprobs, strangers ----------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("magic", {"unknown": ("magic",)}),
        ("logprobs", {"logprobs": 0}),
        ("presence_penalty", {"presence_penalty": 0.1}),
        ("frequency_penalty", {"frequency_penalty": -1.0}),
        ("repeat_penalty", {"repeat_penalty": 1.1}),
        ("min_p", {"min_p": 0.1}),
        ("logit_bias", {"logit_bias": {"1": 1.0}}),
        ("n", {"choices": 2}),
        ("temperature", {"temperature": 1.1}),
        ("response_format", {"format": Format()}),
        ("tool_choice", {"tool_choice": ToolChoice(ToolMode.ANY)}),
    ],
)
def test_settings_without_a_word_are_refused_by_name(field: str, said: dict[str, object]) -> None:
    asked = msgspec.structs.replace(ChatRequest(model="m", messages=()), **said)
    with pytest.raises(FailureError) as caught:
        refuse_settings(asked)
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.UNSUPPORTED, field)


def test_settings_that_ask_for_what_happens_anyway_pass() -> None:
    refuse_settings(
        ChatRequest(
            model="m",
            messages=(),
            presence_penalty=0.0,
            repeat_penalty=1.0,
            choices=1,
            logit_bias={},
            temperature=1.0,
            format=Format(schema={}),
            tools=(Tool("f"),),
            tool_choice=ToolChoice(ToolMode.ANY),
        )
    )


def test_the_sentence_says_why_or_what_to_do() -> None:
    assert unsayable("n").failure.message == "This provider's format has no word for `n`; leave it out."
    assert unsayable("n", "it answers once").failure.message.endswith("no word for `n`: it answers once.")


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2023-08-04T08:52:19.385406455-07:00", 1691164339),
        ("1970-01-01T00:00:01Z", 1),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_instant_is_read_or_was_not_said(text: str | None, at_s: int | None) -> None:
    assert read_instant(text) == at_s


def test_token_logprobs_are_read_with_their_alternatives() -> None:
    body = TokenBody("é", -0.5, [195, 169], [TokenBody("e", -1.5)])
    assert read_tokens([body]) == (TokenLogprob("é", -0.5, (195, 169), (TokenLogprob("e", -1.5),)),)


def test_strangers_are_named_by_their_path_and_idle_ones_are_none() -> None:
    said: dict[str, object] = {"a": 1, "b": 2, "c": None, "d": []}
    assert list(list_beyond(said, ("a",), "x.")) == ["x.b", "x.d"]
    assert list(list_beyond(said, ("a",), "", (None, []))) == ["b"]

"""Money in integers: exact sums, rounded up once, and ceilings that no request passes."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import Op, Usage
from laneway.dialects import View
from laneway.policy.price import (
    DEFAULT_OUTPUT,
    MOST_CHARS,
    bound_prompt,
    ceiling_nanos,
    chars_within,
    cost_nanos,
    counted_tokens,
    filled,
    nanos_to_usd,
    per_million,
    usd_to_nanos,
)
from laneway.route import FREE, Price

SONNET = Price(
    input=per_million("3.30"),
    output=per_million("16.50"),
    cache_read=per_million("0.33"),
    cache_write_5m=per_million("4.125"),
    cache_write_1h=per_million("6.60"),
)
tokens = st.none() | st.integers(0, 10**9)
prices = st.builds(
    Price,
    input=st.integers(0, 10**9),
    output=st.integers(0, 10**9),
    cache_read=st.none() | st.integers(0, 10**9),
    cache_write_5m=st.none() | st.integers(0, 10**9),
    cache_write_1h=st.none() | st.integers(0, 10**9),
)


@pytest.mark.parametrize(
    ("usd", "pico"), [("3", 3_000_000), ("0.15", 150_000), (0.1, 100_000), ("1e-6", 1), (0, 0), ("16.50", 16_500_000)]
)
def test_list_prices_become_pico_usd_per_token(usd: str | float, pico: int) -> None:
    assert per_million(usd) == pico


@pytest.mark.parametrize(
    ("nanos", "usd"), [(0, "0"), (1, "0.000000001"), (10**9, "1"), (1_500_000_000, "1.5"), (10**20, "100000000000")]
)
def test_amounts_are_written_exactly(nanos: int, usd: str) -> None:
    assert nanos_to_usd(nanos) == usd
    assert usd_to_nanos(usd) == nanos


def test_a_usage_costs_the_sum_of_its_parts() -> None:
    usage = Usage(input=1000, output=200, cache_read=400, cache_write_5m=100, cache_write_1h=50)
    # 450 plain, 400 read, 100 and 50 written, 200 out.
    expected = Decimal(450) * 3300 + 400 * 330 + 100 * 4125 + 50 * 6600 + 200 * 16500
    assert cost_nanos(usage, SONNET) == expected


def test_what_has_no_price_of_its_own_costs_as_input() -> None:
    plain = Price(input=1_000_000, output=0)
    assert cost_nanos(Usage(input=100, cache_read=30, cache_write_5m=30, cache_write_1h=40), plain) == 100_000
    # The longer write costs at least what the shorter does.
    short = Price(input=1_000_000, output=0, cache_write_5m=5_000_000)
    assert cost_nanos(Usage(input=10, cache_write_1h=10), short) == 50_000


def test_less_than_a_nano_is_one_and_nothing_is_nothing() -> None:
    assert cost_nanos(Usage(input=1), Price(input=1, output=0)) == 1
    assert cost_nanos(Usage(input=1000), Price(input=1, output=0)) == 1
    assert cost_nanos(Usage(input=1001), Price(input=1, output=0)) == 2
    assert cost_nanos(Usage(), SONNET) == 0
    assert cost_nanos(Usage(input=10**9, output=10**9), FREE) == 0


def test_beyond_its_window_a_price_is_another() -> None:
    above = Price(input=2, output=4)
    price = Price(input=1, output=2, above_window=200_000, above=above)
    assert cost_nanos(Usage(input=200_000, output=1000), price) == 202
    assert cost_nanos(Usage(input=200_001, output=1000), price) == -(-(200_001 * 2 + 4000) // 1000)


def test_odd_reports_cost_nothing_below_nothing() -> None:
    """Some providers report more cached tokens than tokens."""
    assert cost_nanos(Usage(input=10, cache_read=50), Price(input=1_000_000, output=0, cache_read=0)) == 0


@given(
    usage=st.builds(
        Usage, input=tokens, output=tokens, cache_read=tokens, cache_write_5m=tokens, cache_write_1h=tokens
    ),
    price=prices,
)
def test_rounding_is_up_and_once(usage: Usage, price: Price) -> None:
    cost = cost_nanos(usage, price)
    long = price.cache_write_1h
    if long is None:
        long = price.input if price.cache_write_5m is None else price.cache_write_5m
    read = usage.cache_read or 0
    short, hour = usage.cache_write_5m or 0, usage.cache_write_1h or 0
    exact = Fraction(
        max((usage.input or 0) - read - short - hour, 0) * price.input
        + read * (price.input if price.cache_read is None else price.cache_read)
        + short * (price.input if price.cache_write_5m is None else price.cache_write_5m)
        + hour * long
        + (usage.output or 0) * price.output,
        1000,
    )
    assert exact <= cost < exact + 1


def asking(**facts: Any) -> View:
    return View(Op.CHAT, "m", False, **facts)


@given(
    price=prices,
    body=st.binary(max_size=10_000),
    most=st.none() | st.integers(1, 10**6),
    output=st.none() | st.integers(1, 10**6),
    choices=st.integers(1, 5),
    part=st.floats(0, 1),
)
def test_no_request_of_text_costs_more_than_its_ceiling(
    price: Price, body: bytes, most: int | None, output: int | None, choices: int, part: float
) -> None:
    view = asking(max_tokens=most, choices=choices)
    ceiling = ceiling_nanos(price, view, bound_prompt(view, len(body)), output=output)
    limit = min(most or output or DEFAULT_OUTPUT, output or 10**9)
    # The worst that a tokenizer does with any script, and with JSON, is a token for each byte.
    used = Usage(input=len(body), output=int(limit * part) * choices)
    assert cost_nanos(used, price) <= ceiling


@pytest.mark.parametrize(
    "text", ["plain words of a language", "漢字かな한글" * 50, '{"a":[1,2,3,4,5],"b":{"c":"d"}}' * 40, "😀" * 99]
)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_prompt_in_any_script_is_bounded_by_its_bytes(text: str, escaped: bool) -> None:
    """Also where a client writes every letter as an escape."""
    body = json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=escaped).encode()
    assert bound_prompt(asking(text_chars=len(text)), len(body)) >= len(text.encode())


def test_tools_count_as_they_are_written_and_a_little_more() -> None:
    assert bound_prompt(asking(tools=2), 9000) == 10_000


def test_pictures_count_as_pictures_whatever_their_size_in_base64() -> None:
    view = asking(text_chars=100, images=2)
    assert bound_prompt(view, 5_000_000) == 100 * 4 + 16 + 2 * 5000
    # By url they are short, and the body says all.
    assert bound_prompt(view, 300) == 300 + 2 * 5000
    # A document counts byte by byte: what is written in it nobody sees before the provider does.
    assert bound_prompt(asking(images=1, needs=frozenset({"documents"})), 70_000) == 75_000


def test_a_ceiling_knows_the_dear_window_and_the_end_of_any_window() -> None:
    price = Price(input=1_000_000, output=0)
    wide = Price(input=1_000_000, output=0, above_window=10, above=Price(input=5_000_000, output=0))
    view = asking(max_tokens=1)
    assert ceiling_nanos(wide, view, 10) == 10_000
    assert ceiling_nanos(wide, view, 100) == 500_000
    # What is longer than the window is refused by the provider.
    assert ceiling_nanos(price, view, 5_000_000, window=128_000) == 128_000_000


def test_a_ceiling_ends_where_the_models_answers_end() -> None:
    price = Price(input=0, output=1_000_000)
    assert ceiling_nanos(price, asking(max_tokens=10**6), 0, output=4096) == 4_096_000
    assert ceiling_nanos(price, asking(max_tokens=100), 0, output=4096) == 100_000
    assert ceiling_nanos(price, asking(max_tokens=100, choices=3), 0, output=4096) == 300_000
    assert ceiling_nanos(price, asking(), 0) == DEFAULT_OUTPUT * 1000
    assert ceiling_nanos(price, asking(), 0, window=2000) == 2_000_000


@given(
    nanos=st.integers(-5, 10**12),
    output=st.integers(1, 10**9),
)
def test_what_an_amount_pays_for_is_not_counted_dearer(nanos: int, output: int) -> None:
    price = Price(input=0, output=output)
    chars = chars_within(nanos, price)
    assert cost_nanos(Usage(output=counted_tokens(chars)), price) <= max(nanos, 0)
    assert chars_within(nanos, FREE) == MOST_CHARS


@pytest.mark.parametrize(("chars", "count"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_text_that_nobody_counted_has_four_characters_a_token(chars: int, count: int) -> None:
    assert counted_tokens(chars) == count


# --- filled ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reported", "answer_chars", "whole", "expected"),
    [
        (Usage(input=7, output=9), 400, True, (Usage(input=7, output=9), False)),
        (Usage(), 400, True, (Usage(input=10, output=100), True)),
        (Usage(input=7), 400, True, (Usage(input=7, output=100), True)),
        (Usage(output=9), 400, True, (Usage(input=10, output=9), True)),
        (Usage(input=7), 0, True, (Usage(input=7), False)),
        (Usage(input=7, output=1), 400, False, (Usage(input=7, output=100), True)),
        (Usage(input=7, output=900), 400, False, (Usage(input=7, output=900), False)),
        (Usage(input=0, output=1), 400, False, (Usage(input=10, output=100), True)),
        (Usage(input=0, output=1), 400, True, (Usage(input=0, output=1), False)),
        (Usage(input=7, cache_read=3), 4, True, (Usage(input=7, output=1, cache_read=3), True)),
    ],
)
def test_figures_that_are_missing_are_counted(
    reported: Usage, answer_chars: int, whole: bool, expected: tuple[Usage, bool]
) -> None:
    assert filled(reported, prompt_chars=40, answer_chars=answer_chars, whole=whole) == expected

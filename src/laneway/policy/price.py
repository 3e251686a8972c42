"""What tokens cost. The one place where money is computed and rounded.

Owns: the sum over a usage at a price, and the ceiling of what a request may cost at a target. Prices are integers
of pico-USD per token, amounts integers of nano-USD, rounded up once at the end.
Refuses: floats, guesses about missing prices (the caller decides what unpriced means), and provider conventions
(a `Usage` is already in the neutral convention when it arrives here).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec

from laneway.chat import Usage
from laneway.dialects import View
from laneway.route import Price

PICOS_PER_NANO = 1000
USUAL = 1000
"""Thousandths of a price."""
NANOS_PER_USD = 1_000_000_000
TOKENS_OF_TOOLS = 1000
"""What providers write around the tools of a request, over and above the tools themselves."""
TOKENS_PER_TOOL = 4096
TOKENS_PER_TURN = 16
TOKENS_PER_IMAGE = 5000
BYTES_PER_CHAR = 4
DEFAULT_OUTPUT = 8192
CHARS_PER_TOKEN = 4
MOST_CHARS = 2**62
MOST_PROMPT = 2**21
"""Tokens of a prompt whose length nobody here knows: more than any window holds."""


def per_mille(factor: str | int | float) -> int:
    """A factor, as price lists say it, in thousandths; rounded up."""
    return int((Decimal(str(factor)) * USUAL).to_integral_value(ROUND_CEILING))


def per_million(usd: str | int | float) -> int:
    """USD per million tokens, as price lists say it, to pico-USD per token."""
    return int((Decimal(str(usd)) * 1_000_000).to_integral_value())


def usd_to_nanos(usd: str | int | float) -> int:
    return int((Decimal(str(usd)) * NANOS_PER_USD).to_integral_value())


def nanos_to_usd(nanos: int) -> str:
    """An exact decimal string, without an exponent."""
    if 0 < nanos < NANOS_PER_USD:
        return f"0.{nanos:09d}".rstrip("0")
    whole, rest = divmod(abs(nanos), NANOS_PER_USD)
    sign = "-" if nanos < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0") if rest else f"{sign}{whole}"


def cost_nanos(usage: Usage, price: Price) -> int:
    """What a usage costs. Missing figures count as 0 here; whoever settles decides what stands in for them."""
    if usage.service is not None and price.factors:
        factor = dict(price.factors).get(usage.service, USUAL)
        return -(-_picos(usage, price) * factor // (PICOS_PER_NANO * USUAL))
    return -(-_picos(usage, price) // PICOS_PER_NANO)


def plain_nanos(input_tokens: int, output_tokens: int, price: Price) -> int:
    """The same for a usage of nothing but these, at a price without a second step: expected before every choice."""
    return -(-(input_tokens * price.input + output_tokens * price.output) // PICOS_PER_NANO)


def _picos(usage: Usage, price: Price) -> int:
    total_input = usage.input or 0
    if price.above is not None and price.above_window is not None and total_input > price.above_window:
        price = price.above
    read = usage.cache_read or 0
    short = usage.cache_write_5m or 0
    long = usage.cache_write_1h or 0
    if not (read or short or long):
        return total_input * price.input + (usage.output or 0) * price.output
    plain = max(total_input - read - short - long, 0)
    return (
        plain * price.input
        + read * (price.input if price.cache_read is None else price.cache_read)
        + short * (price.input if price.cache_write_5m is None else price.cache_write_5m)
        + long * (_long_write(price))
        + (usage.output or 0) * price.output
    )


def _long_write(price: Price) -> int:
    if price.cache_write_1h is not None:
        return price.cache_write_1h
    return price.input if price.cache_write_5m is None else price.cache_write_5m


def bound_prompt(view: View, size_bytes: int) -> int:
    """More tokens than this a request's prompt cannot have; `size_bytes` is that of its body.

    No tokenizer makes more than one token of a byte, and everything that a model reads stands in the body: text in
    any script, tools, documents. Only pictures are counted otherwise than they are written; and what rests at the
    provider may fill any window.
    """
    if view.stored:
        return MOST_PROMPT
    if view.tools:
        size_bytes += TOKENS_OF_TOOLS
    if not view.images:
        return size_bytes
    told = view.text_chars * BYTES_PER_CHAR + view.turns * TOKENS_PER_TURN + view.tools * TOKENS_PER_TOOL
    if "documents" not in view.needs:
        size_bytes = min(size_bytes, told)
    return size_bytes + view.images * TOKENS_PER_IMAGE


def ceiling_nanos(
    price: Price, view: View, prompt: int, *, window: int | None = None, output: int | None = None
) -> int:
    """The most a request may cost at this price: its prompt as it is bounded, every answer at its limit.

    A prompt longer than the model's window is refused by its provider, and costs nothing.
    """
    answer = view.max_tokens or output or DEFAULT_OUTPUT
    if output is not None:
        answer = min(answer, output)
    if window is not None:
        prompt, answer = min(prompt, window), min(answer, window)
    dearest = price
    if price.above is not None and price.above_window is not None and prompt > price.above_window:
        dearest = price.above
    write = max(dearest.input, dearest.cache_write_5m or 0, dearest.cache_write_1h or 0)
    picos = prompt * write + answer * view.choices * dearest.output
    return -(-picos * _most(price) // (PICOS_PER_NANO * USUAL)) if price.factors else -(-picos // PICOS_PER_NANO)


def _most(price: Price) -> int:
    """By how much a tier of service may raise a price: who asks for a cheaper one may be given the usual one."""
    return max([USUAL, *(factor for _, factor in price.factors)])


def chars_within(nanos: int, price: Price) -> int:
    """How much more of an answer an amount pays for, as answers are counted while they pass."""
    if not price.output:
        return MOST_CHARS
    picos = max(nanos, 0) * PICOS_PER_NANO
    return (picos * USUAL // _most(price) if price.factors else picos) // price.output * CHARS_PER_TOKEN


def counted_tokens(chars: int) -> int:
    """Tokens in text that nobody counted: about four characters each, at least one for any text at all."""
    return -(-chars // CHARS_PER_TOKEN)


def filled(reported: Usage, *, prompt_chars: int, answer_chars: int, whole: bool) -> tuple[Usage, bool]:
    """What was used: as reported, and counted where a figure is missing; says whether anything was counted.

    An answer that broke off may have reported only how it began (a prompt of 0 tokens, an answer of 1), so that the
    count stands where it is higher.
    """
    total_input, output = reported.input, reported.output
    if total_input is None or not (total_input or whole):
        total_input = counted_tokens(prompt_chars)
    if answer_chars and (output is None or not whole):
        output = max(output or 0, counted_tokens(answer_chars))
    if total_input == reported.input and output == reported.output:
        return reported, False
    return msgspec.structs.replace(reported, input=total_input, output=output), True

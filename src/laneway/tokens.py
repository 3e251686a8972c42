"""The other convention of counting tokens, and the way between it and the neutral one.

Owns: Anthropic's and Bedrock's arithmetic, whose count of the prompt leaves out what the cache served and stored
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching); in `Usage`, as with OpenAI, it does not.
Refuses: to guess: a figure that was not reported stays None.
"""

from __future__ import annotations

from laneway.chat import Usage

SERVICES = frozenset({"batch", "flex", "priority"})


def gather(
    fresh: int | None,
    output: int | None,
    served: int | None,
    stored: int | None,
    stored_hour: int | None,
    reasoning: int | None = None,
) -> Usage:
    """`stored` is the whole of what was stored; what of it is not for an hour is for the default, five minutes."""
    return Usage(
        input=None if fresh is None else fresh + (served or 0) + (stored or 0),
        output=output,
        cache_read=served,
        cache_write_5m=None if stored is None else max(stored - (stored_hour or 0), 0),
        cache_write_1h=stored_hour,
        reasoning=reasoning,
    )


def sum_stored(usage: Usage) -> int | None:
    """Stored in the cache for either time."""
    short, long = usage.cache_write_5m, usage.cache_write_1h
    return None if short is None and long is None else (short or 0) + (long or 0)


def count_fresh(usage: Usage) -> int:
    """The tokens of the prompt that the cache neither served nor stored."""
    return max((usage.input or 0) - (usage.cache_read or 0) - (sum_stored(usage) or 0), 0)


def read_service(said: object) -> str | None:
    """The tier of service that an answer was given in, where it is billed otherwise than the usual one."""
    return said if isinstance(said, str) and said in SERVICES else None

"""What a request's kind is called, and what it does not depend on."""

from __future__ import annotations

from laneway.policy.tags import MOST_TAG, tag_of

SYSTEM = "You are a helpful clerk of Example Ltd. Today is Monday, 3 March 2025. Session 8f3a-22. Ticket #4711."


def test_what_the_caller_says_goes_first() -> None:
    assert tag_of(" tickets ", SYSTEM, ["search"], "key_1") == "tickets"
    assert len(tag_of("x" * 500, "", (), None)) == MOST_TAG


def test_a_system_prompt_is_the_same_on_another_day_and_for_another_ticket() -> None:
    other = "You are a helpful clerk of Example Ltd. Today is Friday, 14 November 2025. Session ab00-91c. Ticket #98."
    assert tag_of(None, SYSTEM, (), None) == tag_of("", other, ["search"], "key_1")
    assert tag_of(None, SYSTEM, (), None) != tag_of(None, SYSTEM.replace("clerk", "poet"), (), None)


def test_no_word_of_a_prompt_is_in_a_tag() -> None:
    assert "clerk" not in tag_of(None, SYSTEM, (), None)


def test_then_come_the_tools_in_any_order_and_then_the_key() -> None:
    assert tag_of(None, "", ["search", "write"], "key_1") == tag_of(None, "", ["write", "search", "write"], None)
    assert tag_of(None, "", ["search"], None) != tag_of(None, "", ["write"], None)
    assert tag_of(None, "", (), "key_1") == "key:key_1"
    assert tag_of(None, "2025-03-03", (), "key_1") == "key:key_1"
    assert tag_of(None, "", (), None) == ""

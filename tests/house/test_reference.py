"""The README's reference says what the code says: no setting or endpoint is missing from it, or in it alone."""

from __future__ import annotations

from tests.house.reference import README, TABLES, filled, sentences


def test_the_reference_is_made_from_the_code() -> None:
    """`python -m tests.house.reference` writes it anew."""
    text = README.read_text(encoding="utf-8")
    assert text == filled(text)


def test_every_setting_has_its_sentence() -> None:
    said = sentences()
    missing = [
        f"{heading} {name}"
        for heading, struct in TABLES
        for name in struct.__struct_fields__
        if not said[struct.__name__].get(name)
    ]
    assert not missing


def test_a_changed_setting_is_noticed() -> None:
    """The comparison can fail."""
    text = README.read_text(encoding="utf-8")
    assert filled(text.replace("`port`", "`prot`")) != text.replace("`port`", "`prot`")

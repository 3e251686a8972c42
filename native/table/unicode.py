"""Makes native/src/unicode_tables.inc: what the tokenizer must know of Unicode. Run by hand when that should change.

Owns: which characters are dropped (controls, non-spacing marks), which separate words, which are punctuation, and what
a character becomes after canonical decomposition without marks and lower-casing. ASCII and Hangul syllables are left
out: the core has a table for the one and arithmetic for the other. Code points that the database does not know are
kept as they are, so that a younger Unicode changes nothing for text that is already stored.

    python native/table/unicode.py > native/src/unicode_tables.inc
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator

HANGUL = range(0xAC00, 0xD7A4)
SURROGATES = range(0xD800, 0xE000)
WIDTH = 4
"""The longest fold, in code points."""


def is_dropped(char: str) -> bool:
    """Whether the character vanishes without separating words."""
    return unicodedata.category(char) in ("Cc", "Cf", "Co", "Mn") or char == "\ufffd"


def is_space(char: str) -> bool:
    """Whether the character separates words and vanishes."""
    return unicodedata.category(char) in ("Zs", "Zl", "Zp")


def is_punctuation(char: str) -> bool:
    """Whether the character is a word of its own."""
    return unicodedata.category(char).startswith("P")


def fold(char: str) -> str:
    """Without accents, in lower case."""
    return "".join(part.lower() for part in unicodedata.normalize("NFD", char) if unicodedata.category(part) != "Mn")


def points() -> Iterator[int]:
    """Every code point the tables speak of."""
    return (point for point in range(0x80, sys.maxunicode + 1) if point not in HANGUL and point not in SURROGATES)


def ranges(test: Callable[[str], bool]) -> list[tuple[int, int]]:
    """The inclusive ranges of code points that pass the test."""
    out: list[tuple[int, int]] = []
    for point in points():
        if test(chr(point)):
            if out and out[-1][1] == point - 1:
                out[-1] = (out[-1][0], point)
            else:
                out.append((point, point))
    return out


def rows(items: Iterable[str], per_line: int) -> str:
    """Lines of comma-separated initialisers."""
    listed = list(items)
    lines = [", ".join(listed[first : first + per_line]) for first in range(0, len(listed), per_line)]
    return "".join(f"    {line},\n" for line in lines)


def main() -> None:
    """Prints the include file."""
    print(f"// Made by native/table/unicode.py from Unicode {unicodedata.unidata_version}; not edited by hand.\n")
    for name, test in (("kDropped", is_dropped), ("kSpaces", is_space), ("kPunctuation", is_punctuation)):
        pairs = rows((f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(test)), 5)
        print(f"constexpr Range {name}[] = {{\n{pairs}}};\n")
    folds = [(point, fold(chr(point))) for point in points() if not is_dropped(chr(point))]
    changed = [(point, folded) for point, folded in folds if folded != chr(point)]
    assert max(len(folded) for _, folded in changed) <= WIDTH
    items = (
        f"{{0x{point:X}, {{{', '.join(f'0x{ord(part):X}' for part in folded) or '0'}}}}}" for point, folded in changed
    )
    print(f"constexpr Fold kFolds[] = {{\n{rows(items, 5)}}};")


if __name__ == "__main__":
    main()

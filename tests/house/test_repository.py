"""What may be committed: few things at the top, and no address or path that is one person's own."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.house import rules
from tests.house.source import ROOT, committed


def _strangers(names: tuple[str, ...]) -> list[str]:
    tops = {name.partition("/")[0] for name in names}
    return sorted(top for top in tops if not top.startswith(".") and top not in rules.TOP)


def _forbidden(text: str) -> list[str]:
    return [f"{match[0]!r}: {why}" for rule, why in rules.NEVER_COMMITTED.items() for match in re.finditer(rule, text)]


def test_the_top_holds_what_it_should() -> None:
    assert not _strangers(committed())


def test_a_stranger_at_the_top_is_noticed() -> None:
    assert _strangers(("src/laneway/chat.py", "notes.md", "scripts/x.sh", ".gitignore")) == ["notes.md", "scripts"]


def test_no_file_holds_what_is_never_committed() -> None:
    broken = []
    for name in sorted(set(committed()) - set(rules.HARMLESS_FILES)):
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        broken += [f"{name}: {sentence}" for sentence in _forbidden(text)]
    assert not broken, "\n".join(broken)


def test_every_file_that_is_let_off_needs_it() -> None:
    assert [name for name in rules.HARMLESS_FILES if not _forbidden((ROOT / name).read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "text",
    [
        "--index-" + "url https://mirror.invalid/simple",
        "https://" + "pypi" + ".org/project/laneway",
        "open('/" + "root/notes')",
        "cd /" + "work/main",
        "/" + "home/ada/laneway",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "sk-" + "ant-" + "a" * 40,
    ],
)
def test_what_is_never_committed_is_noticed(text: str) -> None:
    assert _forbidden(text)


def test_make_help_names_every_target() -> None:
    make = shutil.which("make")
    assert make is not None
    shown = subprocess.run([make, "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert targets == set(re.findall(r"make ([a-z-]+) ", shown.partition("More words")[0]))

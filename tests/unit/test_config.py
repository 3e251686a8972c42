"""Reading a configuration: variables, keys, types, and problems a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from laneway import config
from laneway.config import ConfigError, joined, nearest, read, version_of, visible
from laneway.loaded import load
from laneway.settings import PriceTable, Settings, TargetTable

SECRET = "sk-0123456789-never-to-be-seen"


def settings(text: str, environment: Mapping[str, str] | None = None) -> Settings:
    """What a text without problems says."""
    source = read(text, environment or {})
    assert source.problems == ()
    return source.settings


def problems(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """All that is wrong with a text, as a person reads it; of reading it, or of TOML itself."""
    try:
        found = read(text, environment or {}).problems
    except ConfigError as error:
        found = error.problems
    return [str(problem) for problem in found]


def refused(path: Path, text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """All that keeps a file from being used, references between its tables included."""
    file = path / "laneway.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, environment or {})
    assert caught.value.where == str(file)
    return [str(problem) for problem in caught.value.problems]


# --- variables ---------------------------------------------------------------------------------------------


def test_a_variable_is_filled_in_wherever_text_stands() -> None:
    """${NAME} works in values, in lists, inside tables and in the middle of a text."""
    found = settings(
        """
        [providers.studio]
        url = "http://${HOST}:1234/v1"
        prefixes = ["${PREFIX}/"]
        [providers.studio.headers]
        x-team = "${TEAM}"
        """,
        {"HOST": "studio.lan", "PREFIX": "qwen", "TEAM": "kitchen"},
    ).providers["studio"]
    assert found.url == "http://studio.lan:1234/v1"
    assert found.prefixes == ("qwen/",)
    assert found.headers == {"x-team": "kitchen"}


@pytest.mark.parametrize(
    ("written", "environment", "meant"),
    [
        ("${KEY:-none}", {"KEY": "k"}, "k"),
        ("${KEY:-none}", {}, "none"),
        ("${KEY:-none}", {"KEY": ""}, "none"),
        ("${KEY:-}", {}, ""),
        ("${KEY:-a:-b}", {}, "a:-b"),
        ("${KEY:-http://h:1/v1}", {}, "http://h:1/v1"),
        ("${KEY:-$5}", {}, "$5"),
        ("${KEY:-$$5}", {}, "$5"),
        ("${A}${B:-b}", {"A": "a"}, "ab"),
        ("$$", {}, "$"),
        ("$${KEY}", {"KEY": "k"}, "${KEY}"),
        ("$$$${KEY}", {"KEY": "k"}, "$${KEY}"),
        ("$KEY costs 5$", {"KEY": "k"}, "$KEY costs 5$"),
        ("${KEY}", {"KEY": "${OTHER} $$"}, "${OTHER} $$"),
    ],
)
def test_what_a_variable_means(written: str, environment: dict[str, str], meant: str) -> None:
    """Defaults count where the variable is unset or empty, $$ is a dollar sign, and a value is never read twice."""
    assert settings(f'[server]\nadmin_key = "{written}"', environment).server.admin_key == meant


def test_a_number_may_come_from_a_variable() -> None:
    """The environment holds text only; where a number, a switch or nothing is wanted, it becomes one."""
    found = settings(
        """
        [server]
        port = "${PORT}"
        watch = "${WATCH}"
        refresh = "${REFRESH:-2.5}"
        [providers.a]
        slots = "${SLOTS:-}"
        [tenants.t]
        daily_usd = "${CAP:-0.25}"
        """,
        {"PORT": "9000", "WATCH": "true"},
    )
    assert (found.server.port, found.server.watch, found.server.refresh) == (9000, True, 2.5)
    assert found.providers["a"].slots is None
    assert found.tenants["t"].daily_usd == "0.25"


def test_written_text_is_never_taken_for_a_number() -> None:
    """Only what comes from the environment is read loosely: "8080" in the file is a slip."""
    assert problems('[server]\nport = "8080"') == [
        'server.port: expected a whole number from 0 to 65535, got the text "8080"'
    ]


@pytest.mark.parametrize(("environment", "state"), [({}, "is not set"), ({"KEY": ""}, "is empty")])
def test_a_variable_without_a_value_is_named(environment: dict[str, str], state: str) -> None:
    """One problem for each place, even where a number is wanted, and with the way out."""
    found = problems('[server]\nadmin_key = "${KEY}"\nport = "${KEY}"', environment)
    wrong = f"the environment variable KEY {state} (write ${{KEY:-default}} to give a default)"
    assert found == [f"server.admin_key: {wrong}", f"server.port: {wrong}"]


@pytest.mark.parametrize("written", ["${", "${}", "${MY-KEY}", "${1}", "a ${KEY", "${A:-${B}}", "${A:-${B:-c}}"])
def test_a_broken_variable_is_not_taken_for_text(written: str) -> None:
    """Half a variable would be sent to a provider as a key; it is refused where it stands."""
    found = problems(f'[providers.a]\napi_key = "{written}"', {"A": "a", "B": "b"})
    assert found == ['providers.a.api_key: has a "${" that is no variable; write ${NAME}, ${NAME:-default}, or $${']


# --- keys and types ----------------------------------------------------------------------------------------


def test_a_whole_file_is_read() -> None:
    """Every table arrives with its types: numbers whole and broken, lists, tables in lists, and either-or values."""
    found = settings(
        """
        [timeouts]
        connect = 1
        [models.m]
        provider = "a"
        price = { input = 3, output = "15.00" }
        abilities = ["tools", "json"]
        [models.n]
        provider = "a"
        price = "free"
        [lanes.l]
        targets = ["m", { target = "a/x", timeouts = { first_content = 0.5 } }]
        """
    )
    assert found.timeouts.connect == 1.0
    assert found.models["m"].price == PriceTable(input=3, output="15.00")
    assert found.models["n"].price == "free"
    table = found.lanes["l"].targets[1]
    assert isinstance(table, TargetTable)
    assert (table.target, table.timeouts.first_content) == ("a/x", 0.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[servr]\nport = 1", 'servr: unknown key; did you mean "server"?'),
        ("[server]\nprot = 1", 'server.prot: unknown key; did you mean "port"?'),
        ("[providers.a]\napikey = 1", 'providers.a.apikey: unknown key; did you mean "api_key"?'),
        (
            "[models.'a/b'.price]\ninput = 1\noutptu = 2",
            'models."a/b".price.outptu: unknown key; did you mean "output"?',
        ),
        (
            "[lanes.l]\ntargets = [{ target = 'm', timeout = {} }]",
            "lanes.l.targets[0].timeout: unknown key; did you mean",
        ),
        ("[timeouts]\nzzz = 1", "timeouts.zzz: unknown key; known: between_chunks, connect, first_content, headers"),
        ("server = 5", "server: expected a table, got the number 5"),
        ("providers = []", "providers: expected a table, got a list"),
        ("[providers]\na = 'x'", 'providers.a: expected a table, got the text "x"'),
        ("[[providers]]\nurl = 'x'", "providers: expected a table, got a list"),
        ("[server]\nport = true", "server.port: expected a whole number from 0 to 65535, got true"),
        ("[server]\nport = 70000", "server.port: expected a whole number from 0 to 65535, got the number 70000"),
        ("[server]\nport = 1979-05-27", "server.port: expected a whole number from 0 to 65535, got a date or time"),
        (f"[server]\nport = 0x{'f' * 5000}", "server.port: expected a whole number from 0 to 65535, got a huge number"),
        ("[server]\nopen = 1", "server.open: expected true or false, got the number 1"),
        ("[server]\ncors = 'x'", 'server.cors: expected a list, got the text "x"'),
        ("[server]\ncors = ['x', 2]", "server.cors[1]: expected text, got the number 2"),
        ("[timeouts]\nconnect = 0", "timeouts.connect: expected a number above 0 and up to 86400, got the number 0"),
        (
            "[timeouts]\nconnect = nan",
            "timeouts.connect: expected a number above 0 and up to 86400, got the number nan",
        ),
        ("[providers.a]\nslots = 0", "providers.a.slots: expected a whole number from 1 on, got the number 0"),
        ("[providers.a]\nurl = { a = 1 }", "providers.a.url: expected text, got a table"),
        (
            "[providers.a]\ndialect = 'opnai'",
            (
                'providers.a.dialect: expected one of "openai", "responses", "anthropic", "ollama", "converse", '
                'got the text "opnai"; did you mean "openai"?'
            ),
        ),
        (
            "[models.m]\nabilities = ['tool']",
            (
                'models.m.abilities[0]: expected one of "tools", "vision", "json", "schema", "prefill", "thinking", '
                '"logprobs", "cache", "documents", "embed", got the text "tool"; did you mean "tools"?'
            ),
        ),
        (
            "[models.m]\nprice = 'fre'",
            'models.m.price: expected a table or "free", got the text "fre"; did you mean "free"?',
        ),
        ("[models.m.price]\noutput = 1", "models.m.price.input: is missing"),
        ("[lanes.l]\ntargets = [{}]", "lanes.l.targets[0].target: is missing"),
        ("[lanes.l]\ntargets = [5]", "lanes.l.targets[0]: expected text or a table, got the number 5"),
        ('[server]\n"bad\\nkey" = 1', 'server."bad\\nkey": unknown key'),
        ("[server]\nport = '''a\nb'''", 'server.port: expected a whole number from 0 to 65535, got the text "a\\nb"'),
    ],
)
def test_a_slip_is_told_with_its_path(text: str, problem: str) -> None:
    """Where it stands, what is wrong, and what would be right: one line, nothing else."""
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(problem)
    assert "\n" not in found[0]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Unknown keys, wrong types, unset variables, dangling references and names given twice: one list."""
    assert refused(
        tmp_path,
        """
        [server]
        prot = 8080
        [providers.studio]
        url = "http://studio.lan/v1"
        api_key = "${STUDIO_KEY}"
        slots = "many"
        [models.fast]
        provider = "studoi"
        [models.slow]
        provider = "studio"
        aliases = ["fast"]
        [lanes.alert-fast]
        targets = ["studio/a", 5, "studo/b"]
        chain = ["cuold"]
        [lanes.cloud]
        targets = ["fasst"]
        [lanes.alert-fast]
        targets = []
        [tenants.t]
        lanes = ["alert"]
        """,
    ) == [
        "lanes.alert-fast: is defined a second time in line 18; keep one of the two",
        'lanes.alert-fast.chain[0]: there is no lane "cuold"; did you mean "cloud"?',
        "lanes.alert-fast.targets[1]: expected text or a table, got the number 5",
        'lanes.alert-fast.targets[2]: there is no model or target "studo/b"; did you mean "studio/b"?',
        'lanes.cloud.targets[0]: there is no model or target "fasst"; did you mean "fast"?',
        'models.fast.provider: there is no provider "studoi"; did you mean "studio"?',
        'models.slow.aliases[0]: the name "fast" is already taken by models.fast',
        (
            "providers.studio.api_key: the environment variable STUDIO_KEY is not set "
            "(write ${STUDIO_KEY:-default} to give a default)"
        ),
        'providers.studio.slots: expected a whole number from 1 on, got the text "many"',
        'server.prot: unknown key; did you mean "port"?',
        'tenants.t.lanes[0]: there is no lane "alert"; did you mean "alert-fast"?',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[providers.a]\nurl = 5\n[lanes.l]\ntargets = ['a/x']", "providers.a.url: expected text, got the number 5"),
        (
            "[providers.a]\nurl = 'ftp://x'\n[models.m]\nprovider = 'a'",
            "providers.a.url: expected an http:// or https://",
        ),
        ("[providers]\na = 5\n[lanes.l]\ntargets = ['a/x']", "providers.a: expected a table, got the number 5"),
        ("providers = 5\n[lanes.l]\ntargets = ['a/x']", "providers: expected a table, got the number 5"),
        ("[lanes.l]\ntargets = 'a/x'", 'lanes.l.targets: expected a list, got the text "a/x"'),
        ("[lanes]\nl = 5\n[tenants.t]\nlanes = ['l']", "lanes.l: expected a table, got the number 5"),
        ("[models.m]\nprovider = 5\n[lanes.l]\ntargets = ['m']", "models.m.provider: expected text, got the number 5"),
        ("[models.m]\nprovider = '${X}'", "models.m.provider: the environment variable X is not set"),
        ("[tenants.t]\nkeys = [5]", "tenants.t.keys[0]: expected text, got a number"),
    ],
)
def test_one_slip_is_one_problem(tmp_path: Path, text: str, problem: str) -> None:
    """What refers to a table that has a problem of its own is not complained of as well."""
    found = refused(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(problem)


# --- TOML itself -------------------------------------------------------------------------------------------


def test_every_second_definition_is_told() -> None:
    """Tables and keys that stand twice are listed with their lines, together with what else is wrong."""
    text = (
        "[lanes.a]\ntargets = []\n[server]\nport = 1\nport = 2\nprot = 3\n[lanes.a]\nx = 1\n[ lanes . 'b' ]\n[lanes.b]"
        "\n[models.'m:4b']\n[models.\"m:4b\"]\nid = 'x'\n'id' = 'y'"
    )
    assert problems(text) == [
        "server.port: is defined a second time in line 5; keep one of the two",
        "lanes.a: is defined a second time in line 7; keep one of the two",
        "lanes.b: is defined a second time in line 10; keep one of the two",
        'models."m:4b": is defined a second time in line 12; keep one of the two',
        'models."m:4b".id: is defined a second time in line 14; keep one of the two',
        'server.prot: unknown key; did you mean "port"?',
    ]


def test_a_second_definition_in_the_last_line_is_told() -> None:
    """TOML's reader names no line there; it is one all the same."""
    assert problems("[server]\nport = 1\nport = 2") == [
        "server.port: is defined a second time in line 3; keep one of the two"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server", "not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("[server]\nport 5", "not valid TOML: Expected '=' after a key in a key/value pair (at line 2, column 6)"),
        ("x = " + "[" * 5000, "not valid TOML: "),
        ("x = " + "1" * 5000, "not valid TOML: "),
        (f"[server]\nadmin_key = {SECRET}", "not valid TOML: Invalid value (at line 2, column 13)"),
        (
            "[providers.a]\napi_key = ${KEY}",
            'not valid TOML: Invalid value (at line 2, column 11); a variable stands in quotes: "${NAME}"',
        ),
        ("a = 1\na = [\n2\n]", "not valid TOML: Cannot overwrite a value (at end of document)"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, problem: str) -> None:
    """One line where the first error is, and never what stands there: it may be a key."""
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(problem)
    assert SECRET not in found[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No file, a folder, and something that is no text: the reason, and the file it is about."""
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: {reason}") as caught:
            load(path, {})
        assert caught.value.where == str(path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(binary, {})


def test_a_mark_of_the_encoding_is_no_error(tmp_path: Path) -> None:
    """Some editors begin a file with a byte order mark, and Windows ends its lines with two characters."""
    file = tmp_path / "laneway.toml"
    file.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 81\r\n")
    assert load(file, {}).layout.settings.server.port == 81


# --- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"[server]\nadmin_key = ['{SECRET}']",
        f"[tenants.t]\nkeys = '{SECRET}'",
        f"[tenants.t]\nkeys = [['{SECRET}']]",
        f"[tenants.t]\nkeys = ['{SECRET}', '{SECRET}']",
        f"[tenants.t]\nkeys = ['{SECRET} ']",
        f"[providers.a]\nurl = 'http://h'\napi_key = ['{SECRET}']",
        f"[providers.a]\nurl = 'http://h'\napi_key = '{SECRET}\\u0000'\nslots = 0",
        f'[providers.a]\nurl = "http://h"\napi_key = "{SECRET}\\n"',
        f"[providers.a]\nurl = 'http://h'\nheaders = '{SECRET}'",
        f'[providers.a]\nurl = "http://h"\nheaders = {{ authorization = "{SECRET}\\n" }}',
        f"[providers.a]\nurl = 'http://user:{SECRET}@h'",
        f"[providers.a]\nurl = 'http://{SECRET}@h'",
        f"[providers.a]\nurl = 'http://h/v1?key={SECRET}'",
        f"[providers.a]\nurl = 'http://user:{SECRET}@[h'",
        f"[providers.a]\nurl = 'ftp://h/{SECRET}'",
        "[server]\nport = '${SECRET}'\nengine = '${SECRET}'\nopen = '${SECRET}'",
        "[models.m]\nprovider = 'a'\nprice = '${SECRET}'",
        f"[server]\nadmin_key = '{SECRET}'\n[server]\nadmin_key = '{SECRET}'",
        f"[server]\nadmin_key = '{SECRET}'\nadmin_key = '{SECRET}'",
    ],
)
def test_no_problem_shows_a_secret(tmp_path: Path, text: str) -> None:
    """Keys, headers, addresses with a password in them, and whatever the environment holds stay unseen."""
    found = refused(tmp_path, text, {"SECRET": SECRET})
    assert found
    assert SECRET[:10] not in "\n".join(found)


def test_numbers_in_the_place_of_a_key_are_secrets_too() -> None:
    """A key of digits without quotes is a number to TOML, and a key all the same."""
    assert problems("[tenants.t]\nkeys = [12345678]") == ["tenants.t.keys[0]: expected text, got a number"]
    assert problems("[server]\nadmin_key = 12345678") == ["server.admin_key: expected text, got a number"]


# --- words -------------------------------------------------------------------------------------------------


def test_a_version_names_a_configuration() -> None:
    """The same text has the same version; another value, or another order of providers, has another."""
    one = "[providers.a]\nurl = 'http://a'\n"
    two = "[providers.b]\nurl = 'http://b'\n"
    assert version_of(settings(one + two)) == version_of(settings(one + two))
    assert len({version_of(settings(text)) for text in (one, two, one + two, two + one)}) == 4
    assert len(version_of(settings(""))) == 8


def test_a_version_is_made_of_any_environment() -> None:
    """Variables may hold bytes that are no text; that is the layout's to refuse, not a reason to fall over."""
    assert version_of(settings("[server]\nadmin_key = '${KEY}'", {"KEY": "\udcff"}))


def test_paths_are_written_as_toml_would() -> None:
    """A plain key stands bare, any other in quotes, and nothing in it reaches a terminal raw."""
    assert joined("lanes", "alert-fast_2") == "lanes.alert-fast_2"
    assert joined("", "lanes") == "lanes"
    assert joined("models", "qwen3:8b") == 'models."qwen3:8b"'
    assert joined("models", 'a"\x1b[2J\n') == 'models."a\\"\\x1b[2J\\n"'


def test_foreign_text_is_shown_in_bounds() -> None:
    """Long text is cut; letters of every alphabet stay as they are."""
    assert visible("größe 模型") == "größe 模型"
    assert visible("x" * 1000, 40) == "x" * 37 + "..."


def test_the_nearest_name_is_offered() -> None:
    """A name that looks like it, else the first dozen there are, else nothing."""
    assert nearest("cuold", ["local", "cloud"]) == '; did you mean "cloud"?'
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", (f"n{number:02}" for number in range(40))).count(",") == 11
    assert nearest("zzz", []) == ""


def test_a_problem_reads_as_one_line() -> None:
    """What an exception says is what a person reads."""
    error = ConfigError([config.Problem("a.b", "is wrong"), config.Problem("", "is no TOML")])
    assert str(error) == "a.b: is wrong\nis no TOML"

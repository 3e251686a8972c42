"""`laneway check` as a person runs it: the plan on the one side, all problems on the other, and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from laneway import bundle
from tests.harness.gateway import surroundings, told

ADMIN = "admin-key-never-to-be-seen"
FILE = """
[server]
host = "0.0.0.0"
admin_key = "admin-key-never-to-be-seen"

[timeouts]
headers = 100

[providers.attic]
dialect = "ollama"
url = "http://attic.lan:11434"
slots = 4
reserved = { named = 1 }

[providers.barn]
dialect = "ollama"
url = "http://barn.lan:11434"
timeouts = { connect = 1 }

[providers.cloud]
url = "https://openrouter.ai/api/v1"
api_key = "${CLOUD_KEY}"
prefixes = ["qwen/"]
lists = false
models = ["anthropic/claude-sonnet-4.6"]

[providers.shed]
url = "${SHED_URL:-}"
optional = true

[models."gemma3:4b"]
provider = "attic"
aliases = ["fast"]
substitute = "cloud/qwen/qwen3-coder"

[models.away]
provider = "shed"

[lanes.alert-fast]
targets = [
  { target = "gemma3:4b", timeouts = { first_content = 45 } },
  { target = "barn/phi4", only_if_unavailable = "attic" },
]
emergency = ["cloud/qwen/qwen3-coder"]
warm = ["attic"]
claims = ["legacy"]
badge = "Local"
rescue = "continue"

[lanes.named]
forces = false

[denials.heavy]
providers = ["attic"]
models = ["*:70b*"]
from_parameters = "14B"

[tenants.home]
keys = ["client-key-WXYZ"]
lanes = ["alert-fast"]
daily_usd = 0.5

[budgets.house]
cap_usd = 200
period = "month"
zone = "Europe/Vienna"
alerts = [0.5, 0.9]

[budgets.each]
cap_usd = "1.5"
period = "total"
tenant = "*"
tier = "premium"
alerts = []

[alerts.phone]
service = "telegram"
token = "1234:never-to-be-seen"
chat = "42"
kinds = ["kill", "cap"]

[alerts.desk]
url = "https://hooks.example/T0/never-to-be-seen"
summary_at = "08:05"
"""
PLAN = """
no problems (configuration VERSION: laneway.toml)

server
  listens on   0.0.0.0:8080  (keys in the file: 1, admin key set)
  state in     sqlite:///laneway.db
  time limits  connect 5 s, headers 100 s, first content 120 s, between chunks 60 s

providers
  attic  ollama  local     http://attic.lan:11434        no key       what it lists            slots 4 (1 for named)
  barn   ollama  local     http://barn.lan:11434         no key       what it lists            connect 1 s
  cloud  openai  balanced  https://openrouter.ai/api/v1  key ...WXYZ  1 of its models, qwen/*
  shed   left out: it is optional, and its url is empty

lane alert-fast, badge "Local", rescue continue, takes legacy from everybody
  1.  attic/gemma3:4b         local     free                     kept warm, first content 45 s
  2.  barn/phi4               local     free                     only if attic is unavailable, connect 1 s
  3.  cloud/qwen/qwen3-coder  balanced  $0.30/$1.00 per million  last resort, for tenants with a budget

lane named, keeps the model that was asked for
  no targets: it only names its traffic

models
  gemma3:4b                    attic/gemma3:4b (free), then cloud/qwen/qwen3-coder ($0.30/$1.00 per million)  also fast
  away                         left out, as its provider is
  anthropic/claude-sonnet-4.6  cloud/anthropic/claude-sonnet-4.6 ($3.00/$15.00 per million)

denials
  heavy  keeps *:70b*, 14B and up off attic

tenants
  home  keys ...WXYZ  lanes alert-fast  all models  0.5 USD a day

budgets
  house        200 USD a month  everything                 told at 50 %, 90 %  Europe/Vienna
  each         1.5 USD in all   each tenant, tier premium  nobody is told
  tenant:home  0.5 USD a day    tenant home                told at 80 %

alerts
  phone  telegram  cap, kill
  desk   webhook   everything  summary at 08:05 UTC
"""


def test_the_plan_of_a_file(tmp_path: Path) -> None:
    """Where everything goes, in which order, for how much and how long, and what is left out; no key but its end."""
    (tmp_path / "laneway.toml").write_text(FILE)
    code, said, complained = told(tmp_path, "check", variables={"CLOUD_KEY": "sk-0123456789-WXYZ"})
    version = said.partition("configuration ")[2][:8]
    assert said.replace(version, "VERSION") == PLAN.lstrip()
    assert (code, complained) == (0, "")
    assert not (tmp_path / "laneway.db").exists()


def test_without_a_file_the_environment_is_told(tmp_path: Path) -> None:
    """What was found, and what becomes of it; with nothing found, simulated models."""
    variables = {"OLLAMA_HOST": "0.0.0.0", "OPENAI_API_KEY": "kkkkkkkk-0123WXYZ"}
    code, said, complained = told(tmp_path, "check", variables=variables)
    assert (code, complained) == (0, "")
    assert said.splitlines()[0].endswith(": no file, only what the environment offers)")
    assert "  found: OPENAI_API_KEY (...WXYZ) -> provider openai\n" in said
    assert "  found: OLLAMA_HOST -> provider ollama at http://127.0.0.1:11434\n" in said
    assert "gpt-4o-mini" in said
    assert "kkkk" not in said
    code, said, _ = told(tmp_path, "check")
    assert code == 0
    assert "  found: no provider found -> simulated models, and" in said
    assert "sim-large" in said


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """On the side of errors, sorted by place, with exit code 2; no plan, no stack trace, no secret."""
    wrong = {
        "[server]": "[server]\nprot = 1",
        '"${CLOUD_KEY}"': '["sk-secret-0123"]',
        'lanes = ["alert-fast"]': 'lanes = ["alert-fats"]',
    }
    text = FILE
    for right, slip in wrong.items():
        text = text.replace(right, slip)
    (tmp_path / "mine.toml").write_text(text)
    code, said, complained = told(tmp_path, "check", "--config", "mine.toml", variables={"LANEWAY_TIMEOUTS": "soon"})
    assert (code, said) == (2, "")
    names = "connect, headers, first_content, between_chunks"
    assert complained.splitlines() == [
        "laneway: mine.toml has 4 problems:",
        f'  LANEWAY_TIMEOUTS: "soon" is not NAME=SECONDS with a name of: {names}',
        "  providers.cloud.api_key: expected text, got a list",
        '  server.prot: unknown key; did you mean "port"?',
        '  tenants.home.lanes[0]: there is no lane "alert-fats"; did you mean "alert-fast"?',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "cannot be read: No such file or directory"),
        ("[server", "not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
        (
            "[server]\nstore = 'mysql://me:hidden@h/db'",
            "server.store: No store's URL begins with 'mysql'",
        ),
    ],
)
def test_one_problem_is_one(tmp_path: Path, text: str | None, line: str) -> None:
    """Whatever it is, it is told in a line under the file's name."""
    if text is not None:
        (tmp_path / "mine.toml").write_text(text)
    code, said, complained = told(tmp_path, "check", "--config", "mine.toml")
    assert (code, said) == (2, "")
    assert complained.startswith(f"laneway: mine.toml has 1 problem:\n  {line}")
    assert len(complained.splitlines()) == 2
    assert "hidden" not in complained


def test_a_host_without_a_key_is_told(tmp_path: Path) -> None:
    """`laneway serve` would refuse to start; who checks first learns it here."""
    (tmp_path / "laneway.toml").write_text("[server]\nhost = '0.0.0.0'")
    assert "starts only once there is a key: laneway keys create" in told(tmp_path, "check")[1]
    assert "open to everybody" in told(tmp_path, "check", variables={"LANEWAY_OPEN": "true"})[1]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("laneway", {}),
        ("alaska", {"AWS_ACCESS_KEY_ID": "AKIA0123456789ABCDEF", "AWS_SECRET_ACCESS_KEY": "s"}),
        ("broker", {"BROKER_CLIENT_KEY": "client-0123456789", "OPENROUTER_API_KEY": "sk-or-0123456789"}),
    ],
)
def test_every_deployment_passes(tmp_path: Path, name: str, variables: dict[str, str]) -> None:
    """With the variables its comments name, and nothing else."""
    path = str(bundle.path(f"config/{name}.toml"))
    code, said, complained = told(tmp_path, "check", "--config", path, variables=variables)
    assert (code, complained) == (0, "")
    assert said.startswith("no problems (configuration ")


def test_who_reads_only_the_beginning_is_no_error(tmp_path: Path) -> None:
    """`laneway check | head -1`: no stack trace about a pipe that closed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "laneway", "check"],
        cwd=tmp_path,
        env=surroundings(tmp_path, {"OPENAI_API_KEY": "sk-0123456789"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as complaints:
        assert complaints.read() == ""
    assert process.wait(30) == 1

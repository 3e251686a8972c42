"""What the environment offers when nobody wrote a configuration.

Owns: turning well-known variables (OPENAI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY, AWS credentials, OLLAMA_URL
and OLLAMA_HOST, the three ALASKA lanes, LANEWAY_*) into the same Settings a file would give, with a line for each
about what was found. With nothing found, the simulated provider.
Refuses: reading the process's environment itself (it is an argument), and showing more of a key than its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from laneway.config import Problem, nearest, visible
from laneway.places import faults, region_in
from laneway.settings import (
    JudgeTable,
    LaneTable,
    LearningTable,
    ModelTable,
    PoolTable,
    ProviderTable,
    Settings,
    Timeouts,
)

Tier = Literal["local", "balanced", "premium"]
Dialect = Literal["openai", "responses", "anthropic", "ollama", "converse"]

SIMULATED = "simulated"


class AlaskaLane(NamedTuple):
    """One of the three lanes that have variables of their own, and the lanes tried after it."""

    suffix: str
    name: str
    tier: Tier
    chain: tuple[str, ...]
    badge: str


ALASKA_LANES = (
    AlaskaLane("LOCAL_FAST", "local-fast", "local", ("cloud-balanced",), "Local"),
    AlaskaLane("CLOUD_BALANCED", "cloud-balanced", "balanced", ("local-fast",), "Cloud"),
    AlaskaLane("CLOUD_PREMIUM", "cloud-premium", "premium", ("cloud-balanced", "local-fast"), "Cloud premium"),
)
"""Nothing leads into premium silently."""
CLOUDS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "openrouter": "https://openrouter.ai/api/v1",
}
"""Where a provider is when only its name is given."""
BEDROCK_KEYS = ("ABSK", "bedrock-api-key-")
"""How Bedrock's own API keys begin."""
TIMEOUT_NAMES = ("connect", "headers", "first_content", "between_chunks")
OURS = ("ADMIN_KEY", "CONFIG", "OPEN", "STORE", "TIMEOUTS", "TIMEOUT_SCALE")
"""What LANEWAY_* says to the gateway."""
_OTHERS = re.compile(r"LANEWAY_(?:KEY|LOOPBACK|SERVICE_.+|PORT_.+)")
"""Of clients, of our own workers, and what Kubernetes gives every container beside a service of our name."""
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class Found(NamedTuple):
    """Settings made from the environment, and what to tell the person who started the gateway."""

    settings: Settings
    lines: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    """What is wrong with variables that were to be used."""


def shown(secret: str) -> str:
    """A key as it may be printed: its last four characters, nothing of a short one."""
    return f"...{visible(secret[-4:])}" if len(secret) >= 12 else "(set)"


def overlaid(settings: Settings, environment: Mapping[str, str], problems: list[Problem]) -> Settings:
    """Settings with the LANEWAY_* variables on top; those that cannot be used are added to the problems."""
    server = settings.server
    if store := environment.get("LANEWAY_STORE"):
        server = msgspec.structs.replace(server, store=store)
    if admin_key := environment.get("LANEWAY_ADMIN_KEY"):
        server = msgspec.structs.replace(server, admin_key=admin_key)
    opened = environment.get("LANEWAY_OPEN", "").strip().lower()
    if opened in YES:
        server = msgspec.structs.replace(server, open=True)
    elif opened not in NO:
        problems.append(Problem("LANEWAY_OPEN", f'expected "true" or "false", got "{visible(opened, 40)}"'))
    timeouts = _timeouts(environment.get("LANEWAY_TIMEOUTS", ""), settings.timeouts, problems)
    return msgspec.structs.replace(settings, server=server, timeouts=timeouts)


def timeout_scale(environment: Mapping[str, str], problems: list[Problem]) -> float:
    """LANEWAY_TIMEOUT_SCALE: every configured clock is multiplied by it."""
    text = environment.get("LANEWAY_TIMEOUT_SCALE", "").strip()
    scale = _above_0(text) if text else 1.0
    if scale is None:
        problems.append(Problem("LANEWAY_TIMEOUT_SCALE", f'expected a number above 0, got "{visible(text, 40)}"'))
    return scale or 1.0


def unheard(environment: Mapping[str, str], text: str) -> tuple[str, ...]:
    """A line for each LANEWAY_* variable that says nothing to the gateway, nor to the file whose text this is."""
    return tuple(
        f"{visible(name, 80)} is set, but there is no such variable after LANEWAY_{nearest(meant, OURS)}"
        for name, value in sorted(environment.items())
        if name.startswith("LANEWAY_") and (meant := name.removeprefix("LANEWAY_")) not in OURS and name not in text
        if not _OTHERS.fullmatch(name) and not (meant == "PORT" and "://" in value)
    )


def region_of(environment: Mapping[str, str]) -> str:
    """The AWS region of providers that name none."""
    return environment.get("AWS_REGION", "").strip() or environment.get("AWS_DEFAULT_REGION", "").strip() or "us-east-1"


def offered(environment: Mapping[str, str]) -> Found:
    """Providers and lanes out of the environment alone."""
    search = _Search(environment)
    _clouds(search)
    _ollamas(search)
    lanes = _alaska(search)
    _bedrock(search)
    if not search.providers:
        return _simulated(search)
    return Found(Settings(providers=search.providers, lanes=lanes), tuple(search.lines), tuple(search.problems))


class _Search:
    """What has been found so far, and where to look."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.providers: dict[str, ProviderTable] = {}
        self.lines: list[str] = []
        self.problems: list[Problem] = []

    def value(self, name: str) -> str:
        # A trailing line end is the usual harm done by a file of variables.
        return self.environment.get(name, "").strip()

    def add(self, name: str, table: ProviderTable, variables: Mapping[str, str]) -> bool:
        """Takes a provider in, unless something is wrong with it: that is told by the variable it came from."""
        wrong = [Problem(variables.get(key, key), message) for key, message in faults(table)]
        self.problems += wrong
        if not wrong:
            self.providers[name] = table
        return not wrong


def _clouds(search: _Search) -> None:
    accepts = {"openrouter": ("?*/?*",)}
    for name, usual in CLOUDS.items():
        variable, base_variable = f"{name.upper()}_API_KEY", f"{name.upper()}_BASE_URL"
        key, base = search.value(variable), search.value(base_variable)
        if not key:
            continue
        dialect: Dialect = "anthropic" if name == "anthropic" else "openai"
        table = ProviderTable(
            dialect=dialect,
            url=base.rstrip("/") or usual,
            api_key=key,
            family=name,
            accepts=accepts.get(name, ()),
        )
        search.add(name, table, {"url": base_variable, "api_key": variable})
        search.lines.append(f"{variable} ({shown(key)}) -> provider {name}{f' at {table.url}' if base else ''}")


def _ollamas(search: _Search) -> None:
    for variable, name in (
        ("OLLAMA_URL", "ollama"),
        ("OLLAMA_HOST", "ollama"),
        ("OLLAMA_SECONDARY_URL", "ollama-secondary"),
        ("OLLAMA_FALLBACK_URL", "ollama-fallback"),
    ):
        value = search.value(variable)
        if not value or name in search.providers:
            continue
        table = ProviderTable(dialect="ollama", url=_ollama_url(value), tier="local")
        search.add(name, table, {"url": variable})
        search.lines.append(f"{variable} -> provider {name} at {table.url}")


def _ollama_url(value: str) -> str:
    """As Ollama itself reads OLLAMA_HOST: 11434 is the port only where no scheme is written (its envconfig/config.go).
    The paths that clients are given for other formats are dropped."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "http", value
    host, _, path = rest.partition("/")
    path = re.sub(r"^(v1|api)$", "", path.rstrip("/"))
    name, colon, port = host.rpartition(":")
    if not (colon and port.isdigit()) or (":" in name and not name.startswith("[")):
        name, port = host, "" if mark else "11434"
    if name.count(":") > 1 and not name.startswith("[") and "@" not in name:
        name = f"[{name}]"
    # The address a server listens on is none that a client can call everywhere.
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)  # noqa: S104 - not listened on
    return f"{scheme}://{name}{f':{port}' if port else ''}{f'/{path}' if path else ''}"


def _aws(search: _Search) -> str:
    """Which AWS credentials there are, in words; nothing where there are none. In the order in which they are used."""
    if profile := search.value("AWS_PROFILE"):
        return f"AWS_PROFILE {visible(profile, 40)}"
    if bearer := search.value("AWS_BEARER_TOKEN_BEDROCK"):
        return f"AWS_BEARER_TOKEN_BEDROCK ({shown(bearer)})"
    key = search.value("AWS_ACCESS_KEY_ID")
    return f"AWS_ACCESS_KEY_ID ({shown(key)})" if key and search.value("AWS_SECRET_ACCESS_KEY") else ""


def _bedrock(search: _Search) -> None:
    credentials = _aws(search)
    if not credentials or any(table.dialect == "converse" for table in search.providers.values()):
        return
    region = region_of(search.environment)
    search.add("bedrock", ProviderTable(dialect="converse", region=region), {"region": "AWS_REGION"})
    search.lines.append(f"{credentials} -> provider bedrock in {region}")


def _alaska(search: _Search) -> dict[str, LaneTable]:
    """Three lanes, each with its own url, key, model and provider."""
    targets: dict[str, str] = {}
    for lane in ALASKA_LANES:
        variables = {
            what: f"ALASKA_OPENAI_{what}_{lane.suffix}" for what in ("BASE_URL", "API_KEY", "MODEL", "PROVIDER")
        }
        values = {what: search.value(variable) for what, variable in variables.items()}
        if not values["MODEL"]:
            if any(values.values()):
                search.lines.append(f"ALASKA_OPENAI_*_{lane.suffix} -> no lane: {variables['MODEL']} is not set")
            continue
        table = _alaska_provider(search, lane, values)
        name = _slug(values["PROVIDER"]) or lane.name
        if name in search.providers:
            name = f"{name}-{lane.name}"
        sources = {"url": variables["BASE_URL"], "api_key": variables["API_KEY"], "region": "AWS_REGION"}
        if not search.add(name, table, sources):
            continue
        targets[lane.name] = f"{name}/{values['MODEL']}"
        key = f"key {shown(table.api_key)}" if table.api_key else _aws(search) if table.dialect == "converse" else ""
        with_key = f", with {key}" if key else ""
        search.lines.append(
            f"ALASKA_OPENAI_*_{lane.suffix} -> lane {lane.name}: "
            f"{visible(values['MODEL'])} at provider {name}{with_key}"
        )
    return {
        lane.name: LaneTable(
            targets=(targets[lane.name],),
            chain=tuple(name for name in lane.chain if name in targets),
            badge=lane.badge,
        )
        for lane in ALASKA_LANES
        if lane.name in targets
    }


def _alaska_provider(search: _Search, lane: AlaskaLane, values: Mapping[str, str]) -> ProviderTable:
    url, key, kind = values["BASE_URL"].rstrip("/"), values["API_KEY"], values["PROVIDER"].lower()
    if "bedrock" in kind or (not kind and values["MODEL"].startswith("bedrock/")):
        # A key left over from a sidecar is no Bedrock key: where there are AWS credentials, those sign.
        own = key.startswith(BEDROCK_KEYS) or not _aws(search)
        url = re.sub(r"/v\d+$", "", url)
        return ProviderTable(
            dialect="converse",
            url=url,
            region=region_in(url) or region_of(search.environment),
            api_key=key if own else "",
            tier=lane.tier,
            models=(values["MODEL"],),
        )
    dialect: Dialect = "anthropic" if "anthropic" in kind else "openai"
    if "ollama" in kind and not re.search(r"/v\d+$", url):
        dialect, url = "ollama", _ollama_url(url)
    url = url or CLOUDS.get(_slug(kind), "")
    return ProviderTable(dialect=dialect, url=url, api_key=key, tier=lane.tier, models=(values["MODEL"],))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _simulated(search: _Search) -> Found:
    """Models of different skill, price and speed, and one name behind which they stand, so that everything can be tried
    with nothing at hand."""
    table = ProviderTable(url="simulated://models/v1", tier="balanced", family=SIMULATED, accepts=("sim-*",))
    skills = {"cheap": "sim-small", "middle": "sim-medium", "strong": "sim-large"}
    pool = PoolTable(candidates=tuple(skills), default="strong", sticky=False, keep_prompts=True)
    settings = Settings(
        providers={SIMULATED: table},
        models={name: ModelTable(provider=SIMULATED, id=model, listed=False) for name, model in skills.items()},
        pools={"auto": pool},
        # It is asked for its opinion on the page, and of no live answer.
        judges={SIMULATED: JudgeTable(model=f"{SIMULATED}/sim-judge", share=0, pairs=0, burst=0)},
        learning=LearningTable(primer=True),
    )
    line = 'no provider found -> simulated models, and "auto", which learned from bundled examples to choose among them'
    return Found(settings, (*search.lines, line), tuple(search.problems))


def _timeouts(text: str, base: Timeouts, problems: list[Problem]) -> Timeouts:
    changes: dict[str, float] = {}
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = piece.partition("=")
        seconds = _above_0(value)
        if name.strip() in TIMEOUT_NAMES and seconds is not None:
            changes[name.strip()] = seconds
            continue
        names = ", ".join(TIMEOUT_NAMES)
        wrong = f'"{visible(piece, 40)}" is not NAME=SECONDS with a name of: {names}'
        problems.append(Problem("LANEWAY_TIMEOUTS", wrong))
    return msgspec.structs.replace(base, **changes) if changes else base


def _above_0(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number <= 1e6 else None

"""What the environment offers when nobody wrote a configuration.

Owns: turning well-known variables (OPENAI_API_KEY, ANTHROPIC_API_KEY, OPENROUTER_API_KEY, AWS credentials, OLLAMA_URL
and OLLAMA_HOST, the three ALASKA lanes, LANEWAY_*) into the same Settings a file would give, with a line for each
about what was found. With nothing found, the simulated provider.
Refuses: reading the process's environment itself (it is an argument), and showing more of a key than its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from laneway.config import ConfigError, Problem
from laneway.settings import LaneTable, ProviderTable, Settings, Timeouts

SIMULATED = "simulated"
ALASKA_LANES = {
    "LOCAL_FAST": ("local-fast", "local", ("cloud-balanced",)),
    "CLOUD_BALANCED": ("cloud-balanced", "balanced", ("local-fast",)),
    "CLOUD_PREMIUM": ("cloud-premium", "premium", ("cloud-balanced", "local-fast")),
}
"""Suffix of the variables -> lane, tier, and the lanes tried after it. Nothing leads into premium silently."""
BEDROCK_KEYS = ("ABSK", "bedrock-api-key-")
"""How Bedrock's own API keys begin."""
TIMEOUT_NAMES = ("connect", "headers", "first_content", "between_chunks")


class Found(NamedTuple):
    """Settings made from the environment, and what to tell the person who started the gateway."""

    settings: Settings
    lines: tuple[str, ...]


def shown(secret: str) -> str:
    """A key as it may be printed: its last four characters, nothing of a short one."""
    return f"...{secret[-4:]}" if len(secret) >= 12 else "(set)"


def overlaid(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """A file's settings with the LANEWAY_* variables on top."""
    server = settings.server
    changes: dict[str, str] = {}
    if environment.get("LANEWAY_STORE"):
        changes["store"] = environment["LANEWAY_STORE"]
    if environment.get("LANEWAY_ADMIN_KEY"):
        changes["admin_key"] = environment["LANEWAY_ADMIN_KEY"]
    timeouts = _timeouts(environment.get("LANEWAY_TIMEOUTS", ""), settings.timeouts)
    if changes:
        server = msgspec.structs.replace(server, **changes)
    if environment.get("LANEWAY_OPEN", "") in ("1", "true", "yes"):
        server = msgspec.structs.replace(server, open=True)
    return msgspec.structs.replace(settings, server=server, timeouts=timeouts)


def timeout_scale(environment: Mapping[str, str]) -> float:
    """LANEWAY_TIMEOUT_SCALE: every configured clock is multiplied by it."""
    text = environment.get("LANEWAY_TIMEOUT_SCALE", "")
    if not text:
        return 1.0
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < 1e6:
        raise ConfigError([Problem("LANEWAY_TIMEOUT_SCALE", f'expected a number above 0, got "{text[:40]}"')])
    return scale


def offered(environment: Mapping[str, str]) -> Found:
    """Providers and lanes out of the environment alone."""
    providers: dict[str, ProviderTable] = {}
    lines: list[str] = []
    _clouds(environment, providers, lines)
    _ollamas(environment, providers, lines)
    lanes = _alaska(environment, providers, lines)
    _bedrock(environment, providers, lines)
    if not providers:
        return _simulated()
    return Found(Settings(providers=providers, lanes=lanes), tuple(lines))


def _clouds(environment: Mapping[str, str], providers: dict[str, ProviderTable], lines: list[str]) -> None:
    for variable, name, dialect, url, family, accepts in (
        ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1", "openai", ()),
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com/v1", "anthropic", ()),
        ("OPENROUTER_API_KEY", "openrouter", "openai", "https://openrouter.ai/api/v1", "openrouter", ("*/*",)),
    ):
        key = environment.get(variable, "")
        if not key:
            continue
        base = environment.get(f"{name.upper()}_BASE_URL", "") or url
        providers[name] = ProviderTable(
            dialect=dialect,  # type: ignore[arg-type]
            url=_versioned(base),
            api_key=key,
            family=family,
            accepts=accepts,
        )
        lines.append(f"{variable} ({shown(key)}) -> provider {name}")


def _versioned(url: str) -> str:
    """Anthropic's own variable has no version in it, everybody else's has: add the one that is missing."""
    bare = url.rstrip("/")
    return bare if re.search(r"/v\d+[a-z0-9]*$", bare) else f"{bare}/v1"


def _ollamas(environment: Mapping[str, str], providers: dict[str, ProviderTable], lines: list[str]) -> None:
    for variable, name in (
        ("OLLAMA_URL", "ollama"),
        ("OLLAMA_HOST", "ollama"),
        ("OLLAMA_SECONDARY_URL", "ollama-secondary"),
        ("OLLAMA_FALLBACK_URL", "ollama-fallback"),
    ):
        value = environment.get(variable, "")
        if not value or name in providers:
            continue
        providers[name] = ProviderTable(dialect="ollama", url=_ollama_url(value), tier="local")
        lines.append(f"{variable} -> provider {name} at {_ollama_url(value)}")


def _ollama_url(value: str) -> str:
    """OLLAMA_HOST is often a bare host, a bare port, or the address a server listens on."""
    text = value.strip().rstrip("/")
    if "://" not in text:
        text = f"http://{'127.0.0.1' + text if text.startswith(':') else text}"
    scheme, _, rest = text.partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isdigit():
        host, port = rest, "11434"
    return f"{scheme}://{'127.0.0.1' if host in ('0.0.0.0', '') else host}:{port}"


def _bedrock(environment: Mapping[str, str], providers: dict[str, ProviderTable], lines: list[str]) -> None:
    key = environment.get("AWS_ACCESS_KEY_ID", "")
    bearer = environment.get("AWS_BEARER_TOKEN_BEDROCK", "")
    profile = environment.get("AWS_PROFILE", "")
    if not ((key and environment.get("AWS_SECRET_ACCESS_KEY")) or bearer or profile):
        return
    if any(table.dialect == "converse" for table in providers.values()):
        return
    region = region_of(environment)
    providers["bedrock"] = ProviderTable(
        dialect="converse", url=bedrock_url(region), region=region, family="bedrock", lists=False
    )
    what = f"AWS_ACCESS_KEY_ID ({shown(key)})" if key else "AWS credentials"
    lines.append(f"{what} -> provider bedrock in {region}")


def region_of(environment: Mapping[str, str]) -> str:
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"


def bedrock_url(region: str) -> str:
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def _alaska(
    environment: Mapping[str, str], providers: dict[str, ProviderTable], lines: list[str]
) -> dict[str, LaneTable]:
    """Three lanes, each with its own url, key, model and provider."""
    targets: dict[str, str] = {}
    for suffix, (lane, tier, _) in ALASKA_LANES.items():
        url, key, model, provider = (
            environment.get(f"ALASKA_OPENAI_{what}_{suffix}", "").strip()
            for what in ("BASE_URL", "API_KEY", "MODEL", "PROVIDER")
        )
        if not model:
            continue
        table = _alaska_provider(url, key, model, provider, tier, environment)
        name = _unique(_slug(provider) or lane, lane, table, providers)
        providers[name] = table
        targets[lane] = f"{name}/{model.removeprefix('bedrock/') if table.dialect == 'converse' else model}"
        with_key = f", key {shown(key)}" if key else ""
        lines.append(f"ALASKA_OPENAI_*_{suffix} -> lane {lane}: {model} at {name}{with_key}")
    return {
        lane: LaneTable(targets=(targets[lane],), chain=tuple(next_ for next_ in chain if next_ in targets))
        for lane, _, chain in ALASKA_LANES.values()
        if lane in targets
    }


def _alaska_provider(
    url: str, key: str, model: str, provider: str, tier: str, environment: Mapping[str, str]
) -> ProviderTable:
    kind = provider.lower()
    if "bedrock" in kind or model.startswith("bedrock/"):
        region = region_of(environment)
        # A key left over from a sidecar is no Bedrock key: with AWS credentials at hand those sign.
        own = key.startswith(BEDROCK_KEYS) or not environment.get("AWS_ACCESS_KEY_ID")
        return ProviderTable(
            dialect="converse",
            url=re.sub(r"/v\d+/?$", "", url.rstrip("/")) or bedrock_url(region),
            api_key=key if own else "",
            region=region,
            family="bedrock",
            lists=False,
            tier=tier,  # type: ignore[arg-type]
        )
    dialect = "anthropic" if "anthropic" in kind else "openai"
    if "ollama" in kind and not re.search(r"/v\d+/?$", url):
        dialect = "ollama"
    return ProviderTable(dialect=dialect, url=url.rstrip("/"), api_key=key, tier=tier)  # type: ignore[arg-type]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _unique(name: str, lane: str, table: ProviderTable, taken: Mapping[str, ProviderTable]) -> str:
    if name not in taken or taken[name] == table:
        return name
    return f"{name}-{lane}"


def _simulated() -> Found:
    """Models of different skill, price and speed, so that everything can be tried with nothing at hand."""
    table = ProviderTable(url="simulated://models/v1", tier="balanced", family=SIMULATED, accepts=("sim-*",))
    return Found(Settings(providers={SIMULATED: table}), ("no provider found -> simulated models",))


def _timeouts(text: str, base: Timeouts) -> Timeouts:
    changes: dict[str, float] = {}
    problems: list[Problem] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = piece.partition("=")
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if name.strip() not in TIMEOUT_NAMES or seconds <= 0:
            names = ", ".join(TIMEOUT_NAMES)
            problems.append(Problem("LANEWAY_TIMEOUTS", f'"{piece[:40]}" is not NAME=SECONDS with a name of: {names}'))
        changes[name.strip()] = seconds
    if problems:
        raise ConfigError(problems)
    return msgspec.structs.replace(base, **changes) if changes else base

"""The command line: serve, check, keys, eval.

Owns: arguments, exit codes, and what a person reads in a terminal. Refuses: doing anything itself that a room does.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence

from laneway import __version__
from laneway.commands import budgets, status, usage
from laneway.commands.terminal import add_config, complain, say, say_rows, with_store
from laneway.config import ConfigError, Problem
from laneway.environment import shown
from laneway.evaluate import command as evaluation
from laneway.layout import Layout, serves_catalogue
from laneway.loaded import load
from laneway.route import Clocks, Lane, Price, Provider, Stage
from laneway.settings import ProviderTable
from laneway.store import Store, StoreError, open_store

EPILOG = """\
With no configuration at all, `laneway serve` uses what the environment offers: OPENAI_API_KEY, ANTHROPIC_API_KEY,
OPENROUTER_API_KEY, AWS credentials, OLLAMA_URL or OLLAMA_HOST. With none of these it serves simulated models, so
that everything can be tried. A file is found by --config, by LANEWAY_CONFIG, or as laneway.toml in this folder.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except ConfigError as error:
        _say_problems(error)
        return 2
    except StoreError as error:
        complain(str(error))
        return 2
    except BrokenPipeError:
        # Whoever read has seen enough (`laneway check | head`); nothing more is to be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="laneway",
        description="An LLM gateway that learns which model each prompt needs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"laneway {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="start the gateway", description="Start the gateway.")
    add_config(serve)
    serve.add_argument("--host", help="address to listen on (default: server.host, else 127.0.0.1)")
    serve.add_argument(
        "--port", type=_number(0, 65_535), metavar="PORT", help="port to listen on (default: server.port, else 8080)"
    )
    serve.add_argument(
        "--workers", type=_number(1, 256), metavar="N", default=1, help="processes that share the port (default: 1)"
    )
    serve.set_defaults(run=_serve)

    check = commands.add_parser(
        "check",
        help="read the configuration and say what it means",
        description="Read the configuration, list every problem in it, and print the plan of every lane and model.",
    )
    add_config(check)
    check.set_defaults(run=_check)

    keys = commands.add_parser("keys", help="make, list and revoke callers' keys", description="Callers' keys.")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key; it is shown once")
    add_config(create)
    create.add_argument("--tenant", default="default", help="whose key it is (default: default)")
    create.add_argument("--name", default="", help="a note to recognise it by")
    create.set_defaults(run=_create_key)
    listing = actions.add_parser("list", help="list the keys, by their last four characters")
    add_config(listing)
    listing.set_defaults(run=_list_keys)
    revoke = actions.add_parser("revoke", help="revoke a key by its id; running gateways notice within seconds")
    add_config(revoke)
    revoke.add_argument("id", help="the id that `laneway keys list` shows")
    revoke.set_defaults(run=_revoke_key)

    proof = commands.add_parser(
        "eval",
        help="measure what routing gains on labelled prompts",
        description="Measure what routing gains on labelled prompts, beside simpler ways to choose.",
    )
    evaluation.add_arguments(proof)
    proof.set_defaults(run=lambda given: evaluation.evaluate(given, sys.stdout, sys.stderr))
    status.add(commands)
    usage.add(commands)
    budgets.add(commands)
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text[:9]) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text[:40]!r}")
        return int(text)

    return read


# --- serve -------------------------------------------------------------------------------------------------


def _serve(parsed: argparse.Namespace) -> int:
    from laneway.gateway import Gateway
    from laneway.listening import ListenError, listen
    from laneway.middleware.auth import is_loopback
    from laneway.serve import say_what_runs, serve, start_logging

    start_logging()
    loaded = load(parsed.config, os.environ)
    server = loaded.layout.settings.server
    host, port = parsed.host or server.host, parsed.port if parsed.port is not None else server.port
    loopback = is_loopback(host)
    # The store is opened here once before anybody listens: what is wrong with it is said in one sentence.
    has_keys = with_store(loaded, _has_keys) or bool(loaded.layout.keys)
    if not (loopback or server.open or has_keys):
        complain(
            f"Listening on {host} without any key would let everybody who reaches it spend your money. Make one "
            "with `laneway keys create`, or set open = true in [server]."
        )
        return 2
    if parsed.workers > 1 and server.store.startswith("memory:"):
        complain("A store in memory is not shared between processes: use --workers 1, or a store in a file.")
        return 2
    try:
        listening = listen(host, port, parsed.workers)
    except ListenError as error:
        complain(str(error))
        return 2
    gateway = Gateway(loaded, variables=os.environ, loopback=loopback)
    return serve(gateway, listening, lambda: say_what_runs(loaded, host, listening.port, has_keys=has_keys))


async def _has_keys(store: Store) -> bool:
    return any(key.revoked_s is None for key in await store.keys.list())


# --- check -------------------------------------------------------------------------------------------------


def _check(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    layout = loaded.layout
    try:
        open_store(layout.settings.server.store)
    except StoreError as error:
        raise ConfigError([Problem("server.store", str(error))], str(loaded.path or "")) from None
    where = loaded.path or "no file, only what the environment offers"
    say(f"no problems (configuration {layout.version}: {where})")
    for line in loaded.found:
        say(f"  found: {line}")
    _say_table("server", _server_rows(layout))
    _say_table("providers", _provider_rows(layout))
    for lane in layout.lanes.values():
        _say_table(f"lane {lane.name}{_lane_words(lane)}", _lane_rows(layout, lane))
    _say_table("models", _model_rows(layout))
    _say_table("denials", _denial_rows(layout))
    _say_table("tenants", _tenant_rows(layout))
    return 0


def _server_rows(layout: Layout) -> list[tuple[str, ...]]:
    from laneway.middleware.auth import is_loopback

    server = layout.settings.server
    words = [f"keys in the file: {len(layout.keys)}", "admin key set" if server.admin_key else "no admin key"]
    if server.open:
        words.append("open to everybody")
    elif not (layout.keys or is_loopback(server.host)):
        words.append("starts only once there is a key: laneway keys create")
    return [
        ("listens on", f"{server.host}:{server.port}  ({', '.join(words)})"),
        ("state in", server.store),
        ("time limits", _clocks(layout.clocks)),
    ]


def _provider_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, table in layout.settings.providers.items():
        provider = layout.providers.get(name)
        if provider is None:
            rows.append((name, "left out: it is optional, and its url is empty"))
            continue
        key = f"key {shown(table.api_key)}" if table.api_key else ""
        if provider.signing:
            key = f"signed for {provider.region}"
        where = f"{provider.origin}{provider.path}"
        limits = ", ".join(filter(None, (_slots(table), _clocks(provider.clocks, layout.clocks))))
        serves = _serves(table, provider)
        rows.append((name, provider.dialect, provider.tier.value, where, key or "no key", serves, limits))
    return rows


def _slots(table: ProviderTable) -> str:
    kept = ", ".join(f"{count} for {lane}" for lane, count in table.reserved.items())
    return f"slots {table.slots}{f' ({kept})' if kept else ''}" if table.slots is not None else ""


def _serves(table: ProviderTable, provider: Provider) -> str:
    serves = [f"{len(table.models)} of its models" if table.models else ""]
    serves += ["all that the catalogue knows" if serves_catalogue(table) else ""]
    serves += ["what it lists" if provider.lists else ""]
    serves += [f"{prefix}*" for prefix in table.prefixes]
    return ", ".join(filter(None, (*serves, *table.accepts)))


def _lane_words(lane: Lane) -> str:
    words = [
        f'badge "{lane.badge}"' if lane.badge else "",
        "" if lane.stage is Stage.ACTIVE else lane.stage.value,
        "runs only" if lane.run_only else "",
        "sticky" if lane.sticky else "",
        "" if lane.forces else "keeps the model that was asked for",
        f"takes {', '.join(lane.claims)} from everybody" if lane.claims else "",
    ]
    return ", ".join(["", *filter(None, words)])


def _lane_rows(layout: Layout, lane: Lane) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number, target in enumerate(lane.targets, 1):
        words = [
            "last resort, for tenants with a budget" if target.name in lane.emergency else "",
            f"only if {lane.only_if[target.name]} is unavailable" if target.name in lane.only_if else "",
            "kept warm" if target.name in lane.warm else "",
            _clocks(target.clocks, layout.clocks),
        ]
        rest = ", ".join(filter(None, words))
        rows.append((f"{number}.", target.name, target.provider.tier.value, _price(target.price), rest))
    return rows or [("no targets: it only names its traffic",)]


def _model_rows(layout: Layout) -> list[tuple[str, ...]]:
    """Every model once, by the name that is its own; the aliases of one's own models beside it."""
    rows: list[tuple[str, ...]] = []
    known = layout.names.models
    named = [name for name, targets in known.items() if targets[0].model == name]
    for name in dict.fromkeys((*layout.settings.models, *named)):
        table = layout.settings.models.get(name)
        places = [f"{target.name} ({_price(target.price)})" for target in known.get(name, ())]
        aliases = f"also {', '.join(table.aliases)}" if table is not None and table.aliases else ""
        rows.append((name, ", then ".join(places) or "left out, as its provider is", aliases))
    return rows


def _denial_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, table in layout.settings.denials.items():
        kept = [*table.models, *([f"{table.from_parameters} and up"] if table.from_parameters else [])]
        rows.append((name, f"keeps {', '.join(kept)} off {', '.join(table.providers)}"))
    return rows


def _tenant_rows(layout: Layout) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for tenant in layout.tenants.values():
        keys = [f"...{key.last4}" for key in layout.keys.values() if key.tenant == tenant.name]
        rows.append(
            (
                tenant.name,
                f"keys {', '.join(keys)}" if keys else "no keys in the file",
                f"lanes {', '.join(sorted(tenant.lanes))}" if tenant.lanes is not None else "all lanes",
                f"models {', '.join(tenant.models)}" if tenant.models is not None else "all models",
                f"{tenant.daily_nanos / 1e9:g} USD a day" if tenant.daily_nanos is not None else "no daily limit",
            )
        )
    return rows


def _price(price: Price | None) -> str:
    """USD per million tokens, in and out."""
    if price is None:
        return "price unknown"
    return "free" if price.free else f"${_dollars(price.input)}/${_dollars(price.output)} per million"


def _dollars(picos: int) -> str:
    """At least two places, and as many as it takes."""
    whole, _, part = f"{picos / 1e6:.6f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def _clocks(clocks: Clocks, usual: Clocks | None = None) -> str:
    """The time limits, or only those that are not the usual ones."""
    return ", ".join(
        f"{name.removesuffix('_s').replace('_', ' ')} {getattr(clocks, name):g} s"
        for name in clocks.__struct_fields__
        if usual is None or getattr(clocks, name) != getattr(usual, name)
    )


def _say_table(title: str, rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    say(f"\n{title}")
    say_rows(rows, indent="  ")


# --- keys --------------------------------------------------------------------------------------------------


def _create_key(parsed: argparse.Namespace) -> int:
    from laneway.policy.keys import issue

    loaded = load(parsed.config, os.environ)
    made = issue(parsed.tenant, parsed.name, int(time.time()), secrets.token_urlsafe(32))

    with_store(loaded, lambda store: store.keys.create(made.key, made.digest))
    say(made.secret)
    print(f"This is the only time the key is shown. Id {made.key.id}, tenant {made.key.tenant}.", file=sys.stderr)
    if loaded.layout.settings.tenants and made.key.tenant not in loaded.layout.settings.tenants:
        print(f'Note: the configuration has no tenant "{made.key.tenant}".', file=sys.stderr)
    return 0


def _list_keys(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)

    rows = [*loaded.layout.keys.values(), *with_store(loaded, lambda store: store.keys.list())]
    for key in rows:
        made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(key.created_s)) if key.created_s else "in the file"
        state = "revoked" if key.revoked_s is not None else "active"
        say(f"{key.id:<18} {key.tenant:<14} ...{key.last4:<6} {made:<18} {state:<8} {key.name}")
    if not rows:
        say("There are no keys yet: laneway keys create")
    return 0


def _revoke_key(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    if any(key.id == parsed.id for key in loaded.layout.keys.values()):
        complain(f"The key {parsed.id} stands in the configuration file: take it out there and reload.")
        return 2
    if not with_store(loaded, lambda store: store.keys.revoke(parsed.id, int(time.time()))):
        complain(f"There is no key {parsed.id}; `laneway keys list` shows them.")
        return 2
    say(f"{parsed.id} is revoked.")
    return 0


# --- words -------------------------------------------------------------------------------------------------


def _say_problems(error: ConfigError) -> None:
    count = len(error.problems)
    complain(f"{error.where or 'the configuration'} has {count} problem{'s' if count != 1 else ''}:")
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr, flush=True)

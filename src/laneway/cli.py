"""The command line: serve, check, keys, eval.

Owns: arguments, exit codes, and what a person reads in a terminal. Refuses: doing anything itself that a room does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from laneway import __version__
from laneway.commands import budgets, check, keys, memory, proof, records, route, runs, shadow, status, teach, usage
from laneway.commands.terminal import add_config, complain, with_store
from laneway.config import ConfigError
from laneway.loaded import load
from laneway.store import Store, StoreError, in_memory

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

    check.add(commands)
    keys.add(commands)
    proof.add(commands)
    status.add(commands)
    route.add(commands)
    usage.add(commands)
    teach.add(commands)
    memory.add(commands)
    records.add(commands)
    budgets.add(commands)
    shadow.add(commands)
    runs.add(commands)
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
    from laneway.listening import ListenError, lift_file_limit, listen
    from laneway.logs import start_logging
    from laneway.middleware.auth import is_loopback
    from laneway.serve import say_what_runs, serve

    start_logging()
    loaded = load(parsed.config, os.environ)
    server = loaded.layout.settings.server
    start_logging(server.log)
    host, port = parsed.host or server.host, parsed.port if parsed.port is not None else server.port
    loopback = is_loopback(host)
    # The store is opened here once before anybody listens: what is wrong with it is said in one sentence.
    has_keys = (not in_memory(server.store) and with_store(loaded, _has_keys)) or bool(loaded.layout.keys)
    if not (loopback or server.open or has_keys):
        complain(
            f"Listening on {host} without any key would let everybody who reaches it spend your money. Make one "
            "with `laneway keys create`, or set open = true in [server]."
        )
        return 2
    if parsed.workers > 1 and in_memory(server.store):
        complain("A store in memory is not shared between processes: use --workers 1, or a store in a file.")
        return 2
    try:
        listening = listen(host, port, parsed.workers)
    except ListenError as error:
        complain(str(error))
        return 2
    lift_file_limit()
    gateway = Gateway(loaded, variables=os.environ, loopback=loopback)
    return serve(gateway, listening, lambda: say_what_runs(loaded, host, listening.port, has_keys=has_keys))


async def _has_keys(store: Store) -> bool:
    return any(key.revoked_s is None for key in await store.keys.list())


# --- words -------------------------------------------------------------------------------------------------


def _say_problems(error: ConfigError) -> None:
    count = len(error.problems)
    complain(f"{error.where or 'the configuration'} has {count} problem{'s' if count != 1 else ''}:")
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr, flush=True)

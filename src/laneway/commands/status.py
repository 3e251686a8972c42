"""`laneway status`: hosts and lanes of a running gateway, as its operators' endpoint tells them.

Owns: asking GET /admin/v1/health with the configuration's admin key, and the table.
Refuses: judging; which lane is safe is the gateway's own word.
"""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from typing import Any

from laneway.commands.terminal import add_config, address_of, complain, say, say_rows
from laneway.loaded import load
from laneway.policy.stages import SERVING, words
from laneway.route import Stage

ASK_S = 10.0


def add(commands: Any) -> None:
    """Puts `status` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "status",
        help="show hosts and lanes of a running gateway",
        description="Show the hosts of a running gateway (breakers, loaded models, slots, queues) and which lane is "
        "safe right now. The exit code is 1 when a lane that serves is not.",
    )
    add_config(parser)
    parser.add_argument("--url", help="where it runs (default: host and port of the configuration)")
    parser.add_argument("--json", action="store_true", help="print what the gateway says, as JSON")
    parser.set_defaults(run=_status)


def _status(parsed: argparse.Namespace) -> int:
    server = load(parsed.config, os.environ).layout.settings.server
    url = (parsed.url or address_of(server)).rstrip("/")
    if not url.startswith(("http://", "https://")):
        complain(f"{url}: expected an http:// or https:// address.")
        return 2
    if not server.admin_key:
        complain("No admin key is configured: set server.admin_key or LANEWAY_ADMIN_KEY to that of the gateway.")
        return 2
    asked = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{url}/admin/v1/health", headers={"authorization": f"Bearer {server.admin_key}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=ASK_S) as answer:  # noqa: S310
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            complain(f"The gateway at {url} answered {error.code}; is its admin key another one?")
        return 2
    except (OSError, ValueError) as error:
        complain(f"No gateway answers at {url} ({getattr(error, 'reason', error)}).")
        return 2
    if parsed.json:
        say(json.dumps(told, indent=2))
    else:
        _print(told)
    active = (lane for lane in told["lanes"].values() if lane["stage"] in SERVING)
    return 0 if all(lane["safe"] for lane in active) else 1


def _print(told: dict[str, Any]) -> None:
    say(f"configuration {told['config']}")
    say("\nhosts")
    say_rows([_host_row(name, host) for name, host in told["hosts"].items()], indent="  ")
    say("\nlanes")
    say_rows([_lane_row(name, lane) for name, lane in told["lanes"].items()], indent="  ")


def _host_row(name: str, host: dict[str, Any]) -> tuple[str, ...]:
    slots = host["slots"]
    in_use, waiting = sum(slots["in_use"].values()), sum(slots["waiting"].values())
    words = [
        *(f"{model} breaker {each['state']}" for model, each in host["breakers"].items()),
        *(f"{each['model']} loaded{', protected' if each['protected'] else ''}" for each in host["resident"]),
        f"maintenance until {host['maintenance_until']}" if host["maintenance_until"] else "",
        host.get("reason", ""),
    ]
    used = f"{in_use}/{slots['total'] if slots['total'] is not None else 'any'} slots, {waiting} waiting"
    return name, host["state"], used, "; ".join(filter(None, words))


def _lane_row(name: str, lane: dict[str, Any]) -> tuple[str, ...]:
    reasons = "; ".join(f"{target}: {reason}" for target, reason in lane["reasons"].items())
    stage = words(Stage(lane["stage"]), lane["share"] or 0.0)
    return name, stage, "safe" if lane["safe"] else "not safe", lane["serving"] or "nobody", reasons

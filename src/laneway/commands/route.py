"""`laneway route`: where a running gateway would send a prompt, and why, as a table for a person.

Owns: asking POST /v1/router/explain, and the print. Refuses: deciding; the gateway says what it would do.
"""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from laneway.commands.terminal import add_config, address_of, complain, say, say_rows
from laneway.loaded import Loaded, load

ASK_S = 30.0
SHOWN = 5


def add(commands: Any) -> None:
    """Puts `route` among the commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "route",
        help="show where a running gateway would send a prompt, and why",
        description="Ask a running gateway where it would send a prompt, and why. Nothing is called.",
    )
    add_config(parser)
    parser.add_argument("prompt", metavar="PROMPT", help="what is asked")
    parser.add_argument("--model", metavar="NAME", help="a pool, a lane or a model (default: the only pool, else auto)")
    parser.add_argument("--bias", metavar="0..1", help="where the dial stands for this prompt")
    parser.add_argument("--tag", metavar="NAME", help="the prompt's kind")
    parser.add_argument("--system", metavar="TEXT", help="a system prompt before it")
    parser.add_argument("--tenant", metavar="NAME", help="whose examples (with the admin key; default: default)")
    parser.add_argument("--url", help="where the gateway runs (default: host and port of the configuration)")
    parser.add_argument("--key", default=os.environ.get("LANEWAY_KEY"), help="default: LANEWAY_KEY, else the admin's")
    parser.add_argument("--json", action="store_true", help="print what the gateway says, as JSON")
    parser.set_defaults(run=_route)


def _route(parsed: argparse.Namespace) -> int:
    loaded = load(parsed.config, os.environ)
    url = (parsed.url or address_of(loaded.layout.settings.server)).rstrip("/")
    if not url.startswith(("http://", "https://")):
        complain(f"{url}: expected an http:// or https:// address.")
        return 2
    try:
        with urllib.request.urlopen(_asked(parsed, loaded, url), timeout=ASK_S) as answer:  # noqa: S310
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            complain(_said(error) or f"The gateway at {url} answered {error.code}.")
        return 2
    except (OSError, ValueError) as error:
        complain(f"No gateway answers at {url} ({getattr(error, 'reason', error)}).")
        return 2
    if parsed.json:
        say(json.dumps(told, indent=2))
    else:
        _print(told)
    return 0


def _asked(parsed: argparse.Namespace, loaded: Loaded, url: str) -> urllib.request.Request:
    pools = loaded.layout.pools
    model = parsed.model or (next(iter(pools)) if len(pools) == 1 else "auto")
    messages = [{"role": "user", "content": parsed.prompt}]
    if parsed.system:
        messages.insert(0, {"role": "system", "content": parsed.system})
    headers = {"content-type": "application/json"}
    key = parsed.key or loaded.layout.settings.server.admin_key
    if key:
        headers["authorization"] = f"Bearer {key}"
    more = {"x-laneway-bias": parsed.bias, "x-laneway-tag": parsed.tag}
    headers |= {name: value for name, value in more.items() if value is not None}
    query = f"?tenant={urllib.parse.quote(parsed.tenant)}" if parsed.tenant else ""
    body = json.dumps({"model": model, "messages": messages}).encode()
    return urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{url}/v1/router/explain{query}", body, headers
    )


def _said(error: urllib.error.HTTPError) -> str:
    try:
        message = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""


def _print(told: dict[str, Any]) -> None:
    receipt = told["receipt"]
    first = told["ranked"][0]
    say(f"{first['provider']}/{first['model']}, by {told['by']}: {told['reason'] or 'the order of the lane'}")
    if receipt is None:
        say("This is no pool's request: nothing chooses here.")
        return
    say(f"\npool {receipt['pool']}, dial at {receipt['bias']:g}{_floor(receipt)}{_confidence(receipt)}")
    rows = [("candidate", "quality", "error", "cost", "penalty", "score")]
    for each in sorted(receipt["standings"], key=lambda each: -(each["score"] if each["score"] is not None else -9e9)):
        figures = (each[name] for name in ("quality", "error", "cost_ratio", "penalty", "score"))
        rows.append((each["candidate"], *(f"{figure:.3f}" if figure is not None else "-" for figure in figures)))
    say_rows(rows, indent="  ", right=1)
    say("  cost is a ratio to what the default usually costs; score = quality - weight x cost - penalty")
    _print_turns(receipt)
    if receipt["neighbours"]:
        say("\nnearest examples")
        say_rows([_neighbour(each) for each in receipt["neighbours"][:SHOWN]], indent="  ")
    for each in told["dropped"]:
        say(f"left out: {each['provider']}/{each['model']}: {each['reason']}")


def _floor(receipt: dict[str, Any]) -> str:
    kept = receipt["floor"]
    return f", keeping {100 * kept:g} % of the strong model's quality" if kept is not None else ""


def _confidence(receipt: dict[str, Any]) -> str:
    sure = receipt["confidence"]
    return f", {100 * sure:.0f} % sure" if sure is not None else ""


def _print_turns(receipt: dict[str, Any]) -> None:
    for name, words in (("flips_cheaper", "down to {:g} a cheaper one"), ("flips_dearer", "up to {:g} a dearer one")):
        if receipt[name] is not None:
            say(f"  with the dial {words.format(receipt[name])} would win")


def _neighbour(each: dict[str, Any]) -> tuple[str, str, str]:
    scores = ", ".join(f"{candidate} {score:.2f}" for candidate, score in each["scores"].items())
    return f"#{each['example']}", f"{each['similarity']:.3f}", scores

"""laneway keys: make, list and revoke callers' keys.

Owns: what a person reads of keys, and showing a new one once. Refuses: keeping any secret.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from typing import Any

from laneway.commands.terminal import add_config, complain, say, with_store
from laneway.failure import FailureError
from laneway.loaded import load


def add(commands: Any) -> None:
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


def _create_key(parsed: argparse.Namespace) -> int:
    from laneway.policy.keys import issue

    loaded = load(parsed.config, os.environ)
    try:
        made = issue(parsed.tenant, parsed.name, int(time.time()), secrets.token_urlsafe(32))
    except FailureError as error:
        complain(error.failure.message)
        return 2
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

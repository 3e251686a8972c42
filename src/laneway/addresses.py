"""Addresses to which something is sent on somebody's behalf: what they may look like, and which are the own network's.

Owns: reading a url into an origin and a path, and everything that is wrong with it.
Refuses: looking names up (who sends does), and repeating an address in a problem: it may hold a secret.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from laneway.places import OWN_HOSTS

_FORM = "expected an http:// or https:// address with a host"


class Address(NamedTuple):
    """`path` begins with a slash and holds the query."""

    origin: str
    path: str


def address_of(url: str) -> Address:
    """Of a url without faults."""
    parts = urlsplit(url)
    return Address(f"{parts.scheme}://{parts.netloc}", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def address_fault(url: str, *, private: bool, allow: str) -> str:
    """What is wrong with a url, "" for nothing; `allow` says how an address of the own network may be used."""
    if not url:
        return "is missing"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return _FORM
    if not good or parts.fragment or parts.username is not None or not re.fullmatch(r"[!-~]+", url):
        return f"{_FORM}, without a user, a # or a space"
    return f"is in the own network; {allow}" if not private and is_own(parts.hostname or "") else ""


def is_own(host: str) -> bool:
    """Whether a host is, by its name or number alone, none of the public internet."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host.endswith(OWN_HOSTS) or "." not in host

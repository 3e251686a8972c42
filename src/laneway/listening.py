"""Listening: the sockets at which callers arrive.

Owns: binding every address of a host before anything is said or started, what a person reads when that cannot be, and
what the system itself does about callers who vanish. Refuses: serving.
"""

from __future__ import annotations

import errno
import resource
import socket
from typing import Any, NamedTuple

BACKLOG = 4096
VANISHED_S = 120
"""How long a caller may take nothing of what is sent before it counts as gone."""


class ListenError(Exception):
    """The address cannot be listened on; the message says why, for a person."""


class Listening(NamedTuple):
    """Sockets that listen, the port they share, and how many processes serve them."""

    sockets: tuple[socket.socket, ...]
    port: int
    workers: int = 1


def listen(host: str, port: int, workers: int = 1) -> Listening:
    """Listens on every address of a host; port 0 takes one that is free. Raises ListenError."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(f"There is no address '{host}' to listen on.") from None
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        where = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
        try:
            sockets.append(_listener(family, kind, protocol, where))
        except OSError as error:
            failed = error
            if error.errno == errno.EADDRINUSE:
                break
    if failed is not None and (failed.errno == errno.EADDRINUSE or not sockets):
        for each in sockets:
            each.close()
        raise ListenError(_refused(failed, host, port))
    return Listening(tuple(sockets), sockets[0].getsockname()[1], workers)


def lift_file_limit() -> None:
    """As many open files as the system lets this process have: a shell gives 1,024, which is 500 requests at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listener(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _notice_the_vanished(made)
        if family == socket.AF_INET6:
            # One socket per family: otherwise "::" would take the port from "0.0.0.0" on some systems only.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _notice_the_vanished(listener: socket.socket) -> None:
    """Callers who went without a word, or stopped reading, are closed by the system: connections inherit this."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", VANISHED_S // 2),
        ("TCP_KEEPINTVL", VANISHED_S // 8),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", VANISHED_S * 1000),  # RFC 5482; also while the caller's window is closed, tcp(7)
    ):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _refused(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. End that one, or choose a port with --port."
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}. Choose one above 1023 with --port."
    return f"Cannot listen on {host}, port {port}: {error.strerror}."

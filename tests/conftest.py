"""What holds for every test: the same surroundings everywhere, and no word to the world outside.

Owns: the environment that tests and their sub-processes see, the ban on leaving this machine, and hypothesis'
settings. Refuses: fixtures of any one room; those stand beside the tests that use them, or in tests/harness.
"""

from __future__ import annotations

import ipaddress
import os
import sys

from hypothesis import settings

# Settings and keys of whoever runs the tests would be found by `laneway serve` and by the client libraries: a test
# that wants one sets it. Proxies would carry loopback traffic off this machine.
_FOREIGN = (
    "ALASKA_",
    "ANTHROPIC_",
    "AWS_",
    "LANEWAY_",
    "LANGCHAIN_",
    "LANGSMITH_",
    "OLLAMA_",
    "OPENAI_",
    "OPENROUTER_",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

for _name in list(os.environ):
    if _name.upper().startswith(_FOREIGN) or _name.upper() in _PROXIES:
        del os.environ[_name]

# Without these, the credential chain asks the address where a cloud machine keeps its own, and a client phones home.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["LANGSMITH_TRACING"] = "false"

# Nothing is timed here, so a slow machine fails nothing. CI repeats the same examples; a person explores new ones.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("house")


def _stays_here(host: object) -> bool:
    if not isinstance(host, (str, bytes)):
        return host is None
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        # RFC 6761, section 6.4: names under .invalid never resolve, which is what a test of that needs.
        return name in ("", "localhost") or name.endswith(".invalid")
    return address.is_loopback or address.is_unspecified


def _keep_home(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if not _stays_here(host):
        raise RuntimeError(f"a test tried to reach {host!r}: tests talk to this machine only")


sys.addaudithook(_keep_home)

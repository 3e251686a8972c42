"""Who races: the yardstick, Laneway in three set-ups, and the gateways of others that are installed.

Owns: how each is configured and started for one upstream, and where `install.sh` puts those that are not ours.
Refuses: measuring, and starting anything that was not asked for.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

PLACE = Path("build/peers")
KEY = "race-key-0001"
MODEL = "race-model"
LANEWAY = """
[server]
store = "sqlite:///{folder}/{name}.db"
[providers.race]
url = "http://127.0.0.1:{upstream}/v1"
api_key = "upstream-key"
lists = false
[models.race-model]
provider = "race"
price = {{ input = "1", output = "2" }}
[tenants.racers]
keys = ["race-key-0001"]
{more}
"""
# All rooms at work: a lane, a budget that holds and settles, conversations that stay, a record of each request.
FULL = """
daily_usd = 1000000
lane = "race"
[lanes.race]
targets = ["race-model"]
sticky = true
"""
# The same, and each request is decided by what 1,000 examples teach.
LEARNED = """
daily_usd = 1000000
lane = "race"
[models.strong]
provider = "race"
id = "race-model-strong"
price = { input = "3", output = "15" }
[pools.race-pool]
candidates = ["race-model", "strong"]
default = "strong"
sticky = false
[lanes.race]
pool = "race-pool"
"""
NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream race {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://race;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
LITELLM = """
model_list:
  - model_name: race-model
    litellm_params:
      model: openai/race-model
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: upstream-key
litellm_settings:
  telemetry: false
"""


class Place(NamedTuple):
    """Where one contestant runs in one race."""

    port: int
    upstream: int
    folder: Path
    spare: int = 0
    """Another free port, for who wants one for its metrics."""


class Contestant(NamedTuple):
    name: str
    command: Callable[[Place], list[str]]
    is_there: Callable[[], bool] = lambda: True
    headers: Callable[[Place], Mapping[str, str]] = lambda _: {}
    translates: bool = False
    """Has an Anthropic front before the OpenAI provider."""
    prepare: Callable[[Place], None] = lambda _: None
    """Once it listens."""


def _bare(place: Place) -> list[str]:
    return [sys.executable, "-m", "bench.peers.bare", str(place.port), str(place.upstream)]


def _laneway(name: str, more: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        path = place.folder / f"{name}.toml"
        path.write_text(LANEWAY.format(folder=place.folder, name=name, upstream=place.upstream, more=more))
        return [sys.executable, "-m", "laneway", "serve", "--config", str(path), "--port", str(place.port)]

    return command


def _teach(place: Place) -> None:
    """Prompts of two kinds, one of which the cheaper model is good for; waits until something was learned of them."""
    words = ["report", "invoice", "meeting", "harbour", "theorem", "kitchen", "vector", "history", "market", "compiler"]
    examples = [
        {
            "prompt": f"{('Prove', 'Summarise')[at % 2]} the {words[at % 10]} of {words[at // 10 % 10]} number {at}.",
            "scores": {"race-model": 1.0 if at % 2 else 0.2, "strong": 1.0},
        }
        for at in range(1000)
    ]
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{place.port}/v1/router"
    for at in range(0, len(examples), 250):
        said = json.dumps({"examples": examples[at : at + 250]}).encode()
        with urlopen(Request(f"{url}/preferences/rank", data=said, headers=headers), timeout=60) as answer:
            answer.read()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urlopen(Request(f"{url}/status", headers=headers), timeout=60) as answer:
            if json.load(answer)["pools"][0]["routable"]:
                return
        time.sleep(0.5)
    raise RuntimeError("nothing was learned")


def _nginx(place: Place) -> list[str]:
    path = place.folder / "nginx.conf"
    path.write_text(NGINX.format(folder=place.folder, port=place.port, upstream=place.upstream))
    return [shutil.which("nginx") or "nginx", "-c", str(path), "-g", "daemon off;"]


def _litellm(place: Place) -> list[str]:
    path = place.folder / "litellm.yaml"
    path.write_text(LITELLM.format(upstream=place.upstream))
    return [str(PLACE / "litellm/bin/litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(place.port)]


def _portkey(place: Place) -> list[str]:
    server = PLACE / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    return ["node", str(server), f"--port={place.port}", "--headless"]


def _portkey_headers(place: Place) -> Mapping[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{place.upstream}/v1"}


def _rust(package: str, module: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(str(PLACE / package / "bin/python"), "-m", module),
            *("--worker-urls", f"http://127.0.0.1:{place.upstream}"),
            *("--host", "127.0.0.1", "--port", str(place.port), "--policy", "round_robin"),
            *("--prometheus-port", str(place.spare)),
        ]

    return command


def _installed(path: str) -> Callable[[], bool]:
    return (PLACE / path).exists


YARDSTICK = "bare ASGI forwarder"
CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(YARDSTICK, _bare),
    Contestant("laneway, pass-through", _laneway("plain", "")),
    Contestant("laneway, full stack", _laneway("full", FULL), translates=True),
    Contestant("laneway, learned routing", _laneway("learned", LEARNED), prepare=_teach),
    Contestant("nginx proxy", _nginx, is_there=lambda: shutil.which("nginx") is not None),
    Contestant("sglang-router (Rust)", _rust("sglang", "sglang_router.launch_router"), _installed("sglang/bin/python")),
    Contestant("vllm-router (Rust)", _rust("vllm", "vllm_router.launch_router"), _installed("vllm/bin/python")),
    Contestant("Portkey (Node)", _portkey, _installed("portkey/node_modules"), _portkey_headers),
    Contestant("LiteLLM proxy (Python)", _litellm, _installed("litellm/bin/litellm")),
)


def body(kind: str, prompt: str) -> bytes:
    if kind == "translated":
        asked = {
            "model": MODEL,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 200,
            "stream": True,
        }
        return json.dumps(asked, separators=(",", ":")).encode()
    stream = kind == "stream"
    asked = {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}],
        "max_tokens": 200,
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }
    return json.dumps(asked, separators=(",", ":")).encode()

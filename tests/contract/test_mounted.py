"""The whole gateway as a part of somebody else's app."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from laneway.gateway import build
from laneway.store import open_store
from tests.harness.loop import run


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/chat/completions", {"model": "sim-large", "messages": [{"role": "user", "content": "hi"}]}),
        ("POST", "/api/chat", {"model": "sim-large", "messages": [{"role": "user", "content": "hi"}], "stream": False}),
        ("GET", "/v1/models", None),
        ("GET", "/api/tags", None),
    ],
)
def test_a_gateway_below_another_app_has_all_its_paths(method: str, path: str, body: object) -> None:
    async def main() -> None:
        gateway = build(None, variables={}, store=open_store("memory:"))
        await gateway.start()
        try:
            transport = httpx.ASGITransport(Starlette(routes=[Mount("/llm", app=gateway)]))
            async with httpx.AsyncClient(transport=transport, base_url="http://house") as client:
                answer = await client.request(method, f"/llm{path}", json=body)
            assert answer.status_code == 200
            assert "sim-" in answer.text
        finally:
            await gateway.stop()

    run(main())

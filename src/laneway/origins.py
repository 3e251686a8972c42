"""Web pages of other origins, and what their browsers may ask of the gateway.

Owns: the answer to a browser's question before a request, and the headers on answers to pages.
Refuses: whose key it is.
"""

from __future__ import annotations

from typing import Any

from starlette.middleware.cors import CORSMiddleware

from laneway.edge import App


def shared(app: App, origins: tuple[str, ...]) -> App:
    """Lets web pages of these origins call the app."""
    made: Any = CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["*"],
    )
    wrapped: App = made
    return wrapped

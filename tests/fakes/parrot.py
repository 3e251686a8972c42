"""A provider that repeats whatever it is told, where a decent one would not: prompts and keys, in errors and answers.

Owns: what it answers in OpenAI's format; the model's name says the status. Refuses: discretion.
"""

from __future__ import annotations

import json

from tests.fakes.server import Answer, Posted, Server


class Parrot(Server):
    """`with Parrot() as parrot`: `parrot-400` fails with 400; `parrot-html`, `-odd` and `-cut` are 200s."""

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def answer(self, posted: Posted) -> Answer:
        words = f"{posted.body.decode()} {posted.headers.get('authorization')}"
        how = posted.json["model"].removeprefix("parrot-")
        status = int(how) if how.isdigit() else 200
        kind, text = "application/json", json.dumps({"error": {"message": words, "type": words, "code": words}})
        if how == "html":
            kind, text = "text/html", f"<html>{words}</html>"
        elif how == "odd":
            text = json.dumps({"choices": words})
        elif how == "cut":
            chunk = {"choices": [{"index": 0, "delta": {"content": words}, "finish_reason": None}]}
            kind, text = "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: {words}\n\n"
        return Answer(status, kind, text.encode(), cut=how == "cut")

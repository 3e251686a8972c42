"""The response object around an answer, the same in a whole body and in the events that frame a stream.

Owns: its name, what it repeats of the request, and how it says that it is whole, incomplete or failed.
Refuses: to claim what is not so: nothing is stored, nothing runs in the background, no setting is invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laneway.chat import ChatRequest, Finish, Tool, ToolChoice, ToolMode, Usage
from laneway.dialects import Stamp
from laneway.dialects.responses.tools import split_name
from laneway.dialects.responses.usage import write_reason, write_usage

_MODES = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.ANY: "required"}


def name_response(own: str, stamp: Stamp) -> str:
    """The response's own id where it is one of this format, else one made from the request's."""
    if own.startswith("resp_"):
        return own
    return stamp.id if stamp.id.startswith("resp_") else f"resp_{stamp.id}"


def frame(name: str, model: str, created_s: int, request: object) -> dict[str, Any]:
    """The object without its answer. What nobody asked for is null."""
    asked = request if isinstance(request, ChatRequest) else ChatRequest(model=model, messages=())
    hints = asked.hints
    return {
        "id": name,
        "object": "response",
        "created_at": created_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.max_tokens,
        "metadata": hints.get("metadata") or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tools is not False,
        "previous_response_id": None,
        "reasoning": _write_reasoning(asked),
        "store": False,
        "temperature": asked.temperature,
        "text": {"format": write_format(asked)},
        "tool_choice": write_choice(asked.tool_choice, asked.tools) if asked.tool_choice is not None else "auto",
        "tools": write_tools(asked.tools),
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.user,
    }


def finish_response(
    framed: dict[str, Any], finish: Finish, output: Sequence[dict[str, Any]], usage: Usage
) -> dict[str, Any]:
    reason = write_reason(finish)
    return framed | {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": write_usage(usage),
    }


def write_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    spaces: dict[str, dict[str, Any]] = {}
    for tool in tools:
        space = tool.space
        if space is None:
            written.append(_write_tool(tool))
            continue
        name, description = space
        if name not in spaces:
            said = {"type": "namespace", "name": name, "description": description, "tools": []}
            written.append(spaces.setdefault(name, said))
        spaces[name]["tools"].append(_write_tool(tool))
    return written


def _write_tool(tool: Tool) -> dict[str, Any]:
    _, name = split_name(tool, tool.name)
    described = {} if tool.description is None else {"description": tool.description}
    if tool.free is not None:
        form = {"format": tool.free} if tool.free else {}
        return {"type": "custom", "name": name, **described, **form}
    return {
        "type": "function",
        "name": name,
        **described,
        "parameters": tool.schema,
        # Unsaid it would be true here, and is false in every other format.
        "strict": tool.strict is True,
    }


def write_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object:
    if choice.mode is not ToolMode.ONE:
        return _MODES[choice.mode]
    free = any(tool.free is not None for tool in tools if tool.name == choice.name)
    return {"type": "custom" if free else "function", "name": choice.name}


def write_format(request: ChatRequest) -> dict[str, Any]:
    form = request.format
    if form is None:
        return {"type": "text"}
    if form.schema is None:
        return {"type": "json_object"}
    # The name is demanded; callers of other formats have none to give.
    written: dict[str, Any] = {"type": "json_schema", "name": form.name or "answer", "schema": form.schema}
    if (description := request.hints.get("text.format.description")) is not None:
        written["description"] = description
    if form.strict is not None:
        written["strict"] = form.strict
    return written


def _write_reasoning(request: ChatRequest) -> dict[str, Any]:
    reasoning = request.reasoning
    off = reasoning is not None and reasoning.enabled is False
    effort = "none" if off else reasoning.effort if reasoning is not None else None
    return {"effort": effort, "summary": request.hints.get("reasoning.summary")}

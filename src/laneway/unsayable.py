"""What a provider's format has no word for, refused in one sentence whatever the format.

Owns: that sentence, the check of the settings that Anthropic's family of formats lacks, and who bears several calls at
once. The field has OpenAI's name where it has one, because most callers know it by that.
Refuses: to refuse a value that asks for what happens anyway.
"""

from __future__ import annotations

from laneway.chat import ChatRequest, ToolMode
from laneway.failure import FailureError, Kind, fail


def unsayable(field: str, why: str = "") -> FailureError:
    """UNSUPPORTED: the next target may have a word for it."""
    reason = f": {why}" if why else "; leave it out"
    return fail(Kind.UNSUPPORTED, f"This provider's format has no word for `{field}`{reason}.", field=field)


SERIAL = "parallel_tool_calls"
"""The hint of a caller who says false of every model that he does not know, as agents do, and bears what comes."""


def must_call_once(request: ChatRequest) -> bool:
    """Whether a model that may always call several tools at once will not do. Where it will, the hint is listed."""
    return request.parallel_tools is False and SERIAL not in request.hints


def refuse_settings(request: ChatRequest) -> None:
    """Settings that Messages and Converse lack alike, and temperatures beyond theirs."""
    if request.unknown:
        raise unsayable(request.unknown[0])
    wanted = {
        "logprobs": request.logprobs is not None,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repeat_penalty": request.repeat_penalty not in (None, 1),
        "min_p": request.min_p,
        "logit_bias": request.logit_bias,
        "n": request.choices not in (None, 1),
    }
    for field, said in wanted.items():
        if said:
            raise unsayable(field)
    if request.temperature is not None and request.temperature > 1:
        raise fail(Kind.UNSUPPORTED, "This provider takes temperatures from 0 to 1 only.", field="temperature")
    if request.format is not None and request.format.schema is None:
        raise unsayable("response_format", "it answers in JSON only for a JSON Schema, not for `json_object`")
    choice = request.tool_choice
    if not request.tools and choice is not None and choice.mode in (ToolMode.ANY, ToolMode.ONE):
        raise fail(Kind.UNSUPPORTED, "A tool must be called, but none is offered.", field="tool_choice")

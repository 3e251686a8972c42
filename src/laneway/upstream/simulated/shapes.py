"""Values that fit a JSON Schema: arguments of tool calls and structured answers.

Owns: one value for any schema, the same for the same prompt: enums and constants as given, numbers and names taken
from the prompt where it has some.
Refuses: schemas that lead back to themselves for ever; below a depth, what is not required is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from laneway.chat import Json

_DEEPEST = 6
_READ_CHARS = 4000
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w-]+(?: [A-Z][\w-]+)*")


class Shaper:
    """Makes values. `turn` chooses the n-th name or number of the prompt, so that parallel calls differ."""

    def __init__(self, root: Mapping[str, Json], prompt: str, turn: int = 0, text: str | None = None) -> None:
        self._root = root
        self._names = _NAME.findall(prompt[:_READ_CHARS])
        self._numbers = _NUMBER.findall(prompt[:_READ_CHARS])
        self._turn = turn
        self._text = text

    def value(self) -> Json:
        return self._value(self._root, "value", 0)

    def _value(self, schema: Json, name: str, depth: int) -> Json:
        if not isinstance(schema, Mapping):
            return self._string({}, name)
        found = self._resolved(schema, depth)
        if "const" in found:
            return found["const"]
        options = found.get("enum")
        if isinstance(options, Sequence) and options:
            return options[self._turn % len(options)]
        for choice in ("anyOf", "oneOf", "allOf"):
            inner = found.get(choice)
            if isinstance(inner, Sequence) and inner:
                return self._value(inner[0], name, depth + 1) if depth < _DEEPEST else None
        return self._typed(found, name, depth)

    def _typed(self, schema: Mapping[str, Json], name: str, depth: int) -> Json:
        kind: Any = schema.get("type")
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            kind = next((one for one in kind if one != "null"), "null")
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, depth)
        if kind == "array":
            fewest = schema.get("minItems")
            count = fewest if isinstance(fewest, int) else 1
            items = schema.get("items", {})
            return [self._value(items, name, depth + 1) for _ in range(min(count, 64))] if depth < _DEEPEST else []
        if kind == "integer":
            return int(self._number(schema))
        if kind == "number":
            return self._number(schema)
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(schema, name)

    def _object(self, schema: Mapping[str, Json], depth: int) -> Json:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, Mapping):
            return {}
        needed = required if isinstance(required, Sequence) else ()
        return {
            name: self._value(inner, name, depth + 1)
            for name, inner in properties.items()
            if name in needed or depth < _DEEPEST // 2
        }

    def _resolved(self, schema: Mapping[str, Json], depth: int) -> Mapping[str, Json]:
        place = schema.get("$ref")
        if not isinstance(place, str) or not place.startswith("#") or depth >= 2 * _DEEPEST:
            return schema
        found: Any = self._root
        for step in filter(None, place.lstrip("#").split("/")):
            found = found.get(step) if isinstance(found, Mapping) else None
        return self._resolved(found, depth + 1) if isinstance(found, Mapping) else {}

    def _string(self, schema: Mapping[str, Json], name: str) -> str:
        if self._text is not None:
            text = self._text
        else:
            text = self._names[self._turn % len(self._names)] if self._names else name
        most = schema.get("maxLength")
        return text[:most] if isinstance(most, int) else text

    def _number(self, schema: Mapping[str, Json]) -> float:
        value = float(self._numbers[self._turn % len(self._numbers)]) if self._numbers else float(1 + self._turn)
        least, most = schema.get("minimum"), schema.get("maximum")
        if isinstance(least, int | float):
            value = max(value, float(least))
        if isinstance(most, int | float):
            value = min(value, float(most))
        return value

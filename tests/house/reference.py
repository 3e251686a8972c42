"""The README's reference, made from the code: settings with their sentences, endpoints with their first lines.

Owns: how the two tables are rendered, and putting them between their markers (`python -m tests.house.reference`).
Refuses: prose; the sentences stand beside the code they describe.
"""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import msgspec

from laneway import settings
from laneway.api.routes import ROUTES
from laneway.dialects import FRONTS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TABLES = (
    ("[server]", settings.ServerTable),
    ("[timeouts]", settings.Timeouts),
    ("[providers.NAME]", settings.ProviderTable),
    ("[models.NAME]", settings.ModelTable),
    ("[models.NAME.price]", settings.PriceTable),
    ("[pools.NAME]", settings.PoolTable),
    ("[pools.NAME.check]", settings.CheckTable),
    ("[lanes.NAME]", settings.LaneTable),
    ("[[lanes.NAME.targets]]", settings.TargetTable),
    ("[lanes.NAME.promotion]", settings.PromotionTable),
    ("[lanes.NAME.rollback]", settings.RollbackTable),
    ("[tenants.NAME]", settings.TenantTable),
    ("[budgets.NAME]", settings.BudgetTable),
    ("[denials.NAME]", settings.DenialTable),
    ("[breaker]", settings.BreakerTable),
    ("[alerts.NAME]", settings.AlertTable),
    ("[runs]", settings.RunsTable),
    ("[telemetry]", settings.TelemetryTable),
    ("[judges.NAME]", settings.JudgeTable),
    ("[learning]", settings.LearningTable),
)


def sentences() -> dict[str, dict[str, str]]:
    """For each struct of the settings: field name to the sentence under it, and "" to the struct's own."""
    found: dict[str, dict[str, str]] = {}
    files = sorted(Path(settings.__file__).parent.glob("*.py"))
    for node in chain.from_iterable(ast.parse(file.read_text(encoding="utf-8")).body for file in files):
        if not isinstance(node, ast.ClassDef):
            continue
        fields = found[node.name] = {"": ast.get_docstring(node) or ""}
        for line, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                said = after.value if isinstance(after, ast.Expr) else None
                text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
                fields[line.target.id] = " ".join(text.split())
    return found


def settings_table() -> str:
    said = sentences()
    lines: list[str] = []
    for heading, struct in TABLES:
        lines += [
            f"**`{heading}`** {said[struct.__name__]['']}",
            "",
            "| key | default | meaning |",
            "| --- | --- | --- |",
        ]
        for field in msgspec.structs.fields(struct):
            default = "required" if field.required else f"`{_shown(field)}`"
            lines.append(f"| `{field.encode_name}` | {default} | {said[struct.__name__][field.name]} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _shown(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "unset"
    if isinstance(value, msgspec.Struct) or value == {}:
        return "{}"
    return msgspec.json.encode(value).decode().replace(",", ", ")


def endpoints_table() -> str:
    lines = ["| method | path | what |", "| --- | --- | --- |"]
    lines += [f"| POST | `{path}` | {front.dialect} front: {front.variant} |" for path, front in FRONTS.items()]
    for path, methods, function in ROUTES:
        first = (function.__doc__ or "").strip().splitlines()[0]
        said = re.sub(r"^[A-Z]+( and [A-Z]+)? /\S*( \{[^}]*\})?: ", "", first)
        lines.append(f"| {', '.join(methods)} | `{path.replace(':path}', '}')}` | {said} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The README with both tables as the code has them now."""
    for name, table in (("endpoints", endpoints_table()), ("settings", settings_table())):
        begin, end = f"<!-- reference: {name} -->\n", "<!-- /reference -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")

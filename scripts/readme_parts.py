"""Keeps the made parts of README.md true: the tree of files and the table of settings.

usage: python scripts/readme_parts.py [--check]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from completion_server.settings_schema import settings_schema

ROOT = Path(__file__).resolve().parent.parent


def tree() -> list[str]:
    """One line per module: its name and the first line of its docstring; folders after the modules beside them."""
    lines = ["```text", "completion_server/"]
    package = ROOT / "completion_server"
    folders = [package, *sorted(path.parent for path in package.glob("*/__init__.py"))]
    for folder in folders:
        indent = "  " if folder == package else "    "
        if folder != package:
            lines.append(f"  {folder.name}/")
        for path in sorted(folder.glob("*.py")):
            if path.name != "__init__.py":
                lines.append(f"{indent}{path.name:<{27 - len(indent)}} {_first_line(path)}")
    return [*lines, "```"]


def settings_table() -> list[str]:
    """One row per setting, from the JSON Schema that editors get."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    schema = settings_schema()
    for path, entry in _leaves(schema, schema):
        default = _shown(entry.get("default"))
        lines.append(f"| `{path}` | {default} | {entry.get('description', '')} |")
    return lines


PARTS = {"tree": tree, "settings": settings_table}


def _leaves(schema: dict[str, Any], node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, entry in node["properties"].items():
        dotted = f"{path}.{name}" if path else name
        if "$ref" in entry:
            rows += _leaves(schema, schema["$defs"][entry["$ref"].rpartition("/")[2]], dotted)
        else:
            rows.append((dotted, entry))
    return rows


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return f"`{text}`" if text not in {"", "[]"} else "empty"


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        sys.exit(f"{path.relative_to(ROOT)} has no docstring")
    return docstring.splitlines()[0].rstrip(".")


def with_parts(text: str) -> str:
    """``text`` with every part between its markers made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: made by scripts/readme_parts.py -->", f"<!-- end of {name} -->"
        head, found, rest = text.partition(begin)
        _, ended, tail = rest.partition(end)
        if not found or not ended:
            sys.exit(f"README.md has no place for the {name}: {begin} ... {end}")
        text = "\n".join([head + begin, "", *make(), "", end + tail])
    return text


def main(arguments: list[str]) -> int:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    wanted = with_parts(text)
    if wanted == text:
        return 0
    if "--check" in arguments:
        print("README.md is out of date: run python scripts/readme_parts.py")
        return 1
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

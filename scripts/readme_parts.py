"""Keeps the tree in README.md true: one line per file, its text the first line of the module's docstring.

usage: python scripts/readme_tree.py [--check]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- tree: made by scripts/readme_tree.py -->", "<!-- end of tree -->"


def first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        sys.exit(f"{path.relative_to(ROOT)} has no docstring")
    return docstring.splitlines()[0].rstrip(".")


def tree() -> list[str]:
    """Lines for every module of the package, packages after the modules of their folder."""
    lines = ["```text", "completion_server/"]
    package = ROOT / "completion_server"
    folders = [package, *sorted(path.parent for path in package.glob("*/__init__.py"))]
    for folder in folders:
        indent = "  " if folder == package else "    "
        if folder != package:
            lines.append(f"  {folder.name}/")
        for path in sorted(folder.glob("*.py")):
            if path.name != "__init__.py":
                lines.append(f"{indent}{path.name:<{26 - len(indent)}} {first_line(path)}")
    return [*lines, "```"]


def main(arguments: list[str]) -> int:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    wanted = "\n".join([head + BEGIN, *tree(), END + tail])
    if wanted == text:
        return 0
    if "--check" in arguments:
        print("the tree in README.md is out of date: run python scripts/readme_tree.py")
        return 1
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

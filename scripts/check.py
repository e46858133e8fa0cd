"""The one check that developers, pre-commit and CI run: format, lint, types, import rules, README, tests.

usage: python scripts/check.py [--fast] [PYTEST ARGUMENTS...]     (--fast: everything but the tests)
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STATIC_STEPS: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "lint": [str(BIN / "ruff"), "check", "."],
    "types": [str(BIN / "mypy")],
    "import rules": [str(BIN / "lint-imports"), "--no-cache"],
    "readme": [sys.executable, "scripts/readme_parts.py", "--check"],
}


def run_step(name: str, command: list[str]) -> bool:
    """Run one step from the repository's root; its output is shown only when it fails, but for the tests."""
    began = time.monotonic()
    is_quiet = name != "tests"
    result = subprocess.run(command, cwd=ROOT, capture_output=is_quiet, text=True, check=False)
    verdict = "ok" if result.returncode == 0 else "FAILED"
    print(f"check: {name:<13} {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
    if is_quiet and result.returncode != 0:
        print(result.stdout + result.stderr, flush=True)
    return result.returncode == 0


def main(arguments: list[str]) -> int:
    steps = dict(STATIC_STEPS)
    if "--fast" not in arguments:
        extra = arguments
        steps["tests"] = [sys.executable, "-m", "pytest", *extra]
    failed = [name for name, command in steps.items() if not run_step(name, command)]
    if failed:
        print(f"check: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

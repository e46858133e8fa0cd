"""Measures VS Code: milliseconds from a key to the ghost text, and where they go. Not a test.

usage: python -m tests.editors.vscode_latency [RUNS]     (after tests/editors/vscode_setup.sh)
"""

from __future__ import annotations

import bisect
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.editors.vscode_machine import (
    INSTALLED,
    ROOT,
    Home,
    find_machine,
    running_code_server,
    write_server,
)

SCRIPT = Path(__file__).with_name("vscode_latency.mjs")
SETTINGS = {"security.workspace.trust.enabled": False, "editor.autoIndent": "none"}
TYPED = """

def load(path: str) -> Inventory:
    inventory = Inventory()
    with open(path) as file:
        for entry in json.load(file):
            inventory.add(Item(**entry))
    return inventory
"""
PARTS = (
    "key to the server knows of it",
    "VS Code waits before it asks",
    "server",
    "reply to the screen",
    "key to ghost text",
)

Row = tuple[float, ...]


def run_once(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the page saw, and what the server was told and said."""
    machine = find_machine()
    if isinstance(machine, str):
        raise SystemExit(machine)
    home = Home(folder)
    home.prepare(SETTINGS)
    log, result = folder / "server.jsonl", folder / "seen.json"
    write_server(folder / "bin" / "completion-server", log)
    sample = ROOT / "completion_server" / "samples" / "inventory.py"
    (home.workspace / sample.name).write_text(sample.read_text())
    with running_code_server(machine, home, home.environment(folder / "bin")) as url:
        config = {
            "log": str(log),
            "modules": str(INSTALLED),
            "chromium": machine.chromium,
            "url": f"{url}/?folder={home.workspace}",
            "viewport": {"width": 1000, "height": 460},
            "fileName": sample.name,
            "text": TYPED,
            "result": str(result),
        }
        (folder / "config.json").write_text(json.dumps(config))
        subprocess.run([machine.node, SCRIPT, folder / "config.json"], check=True, timeout=500)
    return json.loads(result.read_text()), [json.loads(line) for line in log.read_text().splitlines()]


def rows_of(seen: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[list[Row], list[float]]:
    """Per key that brought a new suggestion: the parts; per key typed along one: key to ghost text."""
    new: list[Row] = []
    along: list[float] = []
    keys = [key["at"] for key in seen["keys"]]
    ghosts = seen["ghosts"]
    ghost_times = [ghost["at"] for ghost in ghosts]
    for began, end in zip(keys, [*keys[1:], float("inf")], strict=True):
        inside = [message for message in messages if began <= message["at"] < end]
        first = bisect.bisect_left(ghost_times, began)
        shown = [ghost for ghost in ghosts[first : bisect.bisect_left(ghost_times, end)] if ghost["text"]]
        before = ghosts[first - 1]["text"] if first else ""
        if shown and before[1:] == shown[0]["text"]:
            along.append(shown[0]["at"] - began)
            continue
        row = _row(began, inside, shown)
        if row is not None:
            new.append(row)
    return new, along


def _row(began: float, inside: list[dict[str, Any]], shown: list[dict[str, Any]]) -> Row | None:
    changed = next((m["at"] for m in inside if m.get("method") == "textDocument/didChange"), None)
    asked = next((m for m in inside if m.get("method") == "textDocument/inlineCompletion"), None)
    if changed is None or asked is None:
        return None
    replied = next((m["at"] for m in inside if m.get("id") == asked["id"] and m.get("items")), None)
    ghost = next((g["at"] for g in shown if replied is not None and g["at"] >= replied), None)
    if replied is None or ghost is None:
        return None
    return (changed - began, asked["at"] - changed, replied - asked["at"], ghost - replied, ghost - began)


def _shown(values: list[float]) -> str:
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):6.1f}   p95 {ordered[int(0.95 * (len(ordered) - 1))]:6.1f}"


def main(num_runs: int) -> None:
    new: list[Row] = []
    along: list[float] = []
    for run in range(num_runs):
        with tempfile.TemporaryDirectory() as folder:
            rows, more = rows_of(*run_once(Path(folder)))
        sys.stdout.write(
            f"run {run + 1}: {len(rows)} new suggestions, {len(more)} typed along, of {len(TYPED)} keys\n"
        )
        new += rows
        along += more
    for name, values in zip(PARTS, zip(*new, strict=True), strict=True):
        sys.stdout.write(f"{name:32} {_shown(list(values))} ms\n")
    sys.stdout.write(f"{'key to ghost text, typed along':32} {_shown(along)} ms\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)

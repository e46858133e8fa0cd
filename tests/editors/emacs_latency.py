"""Measures Emacs: milliseconds from a key to the ghost text, and where they go. Not a test.

usage: python -m tests.editors.emacs_latency [RUNS]     (after tests/editors/emacs_setup.sh)
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.editors.emacs_session import ENTER, ROOT, EmacsSession, find_emacs, readme_lisp, running_emacs

SAMPLE = ROOT / "completion_server" / "samples" / "inventory.py"
TYPED = (
    "def load(path: str) -> Inventory:",
    "inventory = Inventory()",
    "with open(path) as file:",
    "for entry in json.load(file):",
    "inventory.add(Item(**entry))",
)  # Emacs indents by itself
ASKED, REPLY, SHOWN, WHOLE = "key to request", "request to reply", "request to ghost text", "key to ghost text"
_CACHE_MS = 50  # an answer that takes longer is the model's


def type_key(session: EmacsSession, key: str, times: dict[str, list[float]]) -> None:
    """Type one key, when the last one has been answered."""
    session.press(key)
    typed = session.wait_for("typed")["ms"]
    asked = session.wait_for("request")["ms"]
    reply = session.wait_for("reply")
    times[ASKED].append(asked - typed)
    times[REPLY].append(reply["ms"] - asked)
    if reply["num_items"]:
        shown = session.wait_for("shown")["ms"]
        kind = "the model was asked" if reply["ms"] - asked > _CACHE_MS else "typed along a suggestion"
        times[f"{SHOWN}, {kind}"].append(shown - asked)
        times[f"{WHOLE}, {kind}"].append(shown - typed)


def measure(emacs: Path, times: dict[str, list[float]]) -> None:
    """Type everything once, in an Emacs of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_emacs(emacs, Path(folder), readme_lisp()[0], {}) as session,
    ):
        session.open(SAMPLE.name, SAMPLE.read_text(encoding="utf-8") + "\n\n")
        session.go_to_end()
        for line in TYPED:
            for key in line:
                type_key(session, key, times)
            session.press(ENTER)
            session.wait_for("command", name="newline")


def main() -> None:
    emacs = find_emacs()
    if isinstance(emacs, str):
        raise SystemExit(emacs)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        measure(emacs, times)
    for part, values in sorted(times.items()):
        p95 = statistics.quantiles(values, n=20, method="inclusive")[18]
        sys.stdout.write(
            f"{part:50} {len(values):4} times  p50 {statistics.median(values):4.0f}  p95 {p95:4.0f} ms\n"
        )


if __name__ == "__main__":
    main()

"""Measures Neovim: milliseconds from a key to the ghost text, and where they go. Not a test.

usage: python -m tests.editors.neovim_latency [RUNS] [NEOVIM]

Without NEOVIM it is the one of the wheel, with the plugin's own client; 0.12 and later use the client built in.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.editors.neovim_session import ROOT, NeovimSession, find_neovim, neovim_version
from tests.editors.vscode_latency import TYPED

RECORDING_SERVER = Path(__file__).with_name("vscode_recording_server.py")
SAMPLE = ROOT / "completion_server" / "samples" / "inventory.py"
PARTS = ("client, until it asks", "transport", "server", "transport back and drawing", "key to ghost text")
# The wall clock, at the moment a request is handed to the connection.
WATCH = """
asked_at = {}
vim.api.nvim_create_autocmd('LspRequest', { callback = function(event)
  if event.data.request.type == 'pending' and event.data.request.method == 'textDocument/inlineCompletion' then
    local seconds, micros = vim.uv.gettimeofday()
    table.insert(asked_at, seconds * 1000 + micros / 1000)
  end
end })
"""
ANSWER_SECONDS, PAUSE_SECONDS = 3.0, 0.003

Row = tuple[float, ...]


def now() -> float:
    return time.time() * 1000  # compared with the clocks of two other processes


@dataclass
class Recording:
    """The conversation so far, as the recording server writes it down."""

    path: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    _size: int = 0

    def is_answered_since(self, began: float) -> bool:
        """Whether all requests for suggestions were answered, with at least one of them asked since then."""
        self._read()
        asked = [e["id"] for e in self.entries if e.get("method") == "textDocument/inlineCompletion"]
        # A reply may be written down before its request: it does not say then what it replies to.
        answered = {e["id"] for e in self.entries if e["way"] == "out" and "method" not in e}
        last = max(
            (e["at"] for e in self.entries if e.get("method") == "textDocument/inlineCompletion"), default=0
        )
        return last >= began and set(asked) <= answered

    def between(self, began: float, key: str) -> dict[str, Any] | None:
        """The last request (``key`` method) or reply with items (``reply_to``) since then."""
        found = [e for e in self.entries if e["at"] >= began and e.get(key) == "textDocument/inlineCompletion"]
        return found[-1] if found else None

    def _read(self) -> None:
        with self.path.open() as file:
            file.seek(self._size)
            while (line := file.readline()).endswith("\n"):
                self.entries.append(json.loads(line))
                self._size += len(line.encode())


class Typist:
    """Types, each key when the last has been answered, and notes when ghost text was on the screen."""

    def __init__(self, neovim: NeovimSession, recording: Recording) -> None:
        self._neovim = neovim
        self._recording = recording
        self._ghosts: list[tuple[float, str]] = []
        self.new: list[Row] = []
        self.along: list[float] = []

    def press(self, char: str) -> None:
        before = self._neovim.screen.after_cursor()
        self._ghosts.clear()
        began = now()
        self._neovim.press({"\n": "<CR>", "<": "<lt>"}.get(char, char))
        while now() - began < ANSWER_SECONDS * 1000:
            self._take_frames()
            if self._recording.is_answered_since(began):
                break
        for _ in range(5):  # what the answer has changed on the screen
            self._take_frames()
        self._judge(began, is_along=before[:1] == char, rest=before[1:])

    def _take_frames(self) -> None:
        rpc = self._neovim.rpc
        rpc.listen(PAUSE_SECONDS)
        at = now()
        for _, events in rpc.notifications:
            self._neovim.screen.take(events)
            self._ghosts.append((at, self._neovim.screen.after_cursor()))
        rpc.notifications.clear()

    def _judge(self, began: float, is_along: bool, rest: str) -> None:
        shown = [(at, text) for at, text in self._ghosts if text]
        if is_along and shown and rest == shown[0][1]:
            self.along.append(shown[0][0] - began)
            return
        asked, replied = (self._recording.between(began, key) for key in ("method", "reply_to"))
        if asked is None or replied is None or not replied.get("items"):
            return
        sent = self._neovim.lua("return asked_at[#asked_at]")
        drawn = next((at for at, _ in shown if at >= replied["at"]), None)
        if drawn is not None and sent >= began:
            times = (began, sent, asked["at"], replied["at"], drawn)
            self.new.append((*(b - a for a, b in pairwise(times)), drawn - began))


def run_once(program: Path, home: Path, client: str) -> Typist:
    log = home / "server.jsonl"
    log.touch()
    with NeovimSession(program, home, client) as neovim:
        neovim.lua(WATCH)
        neovim.start(SAMPLE.read_text(), [sys.executable, str(RECORDING_SERVER), str(log), "serve"])
        neovim.command("setlocal noautoindent indentexpr= | normal! G$")
        neovim.type("A")
        neovim.look()
        typist = Typist(neovim, Recording(log))
        for char in TYPED:
            typist.press(char)
        return typist


def shown(values: list[float]) -> str:
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):6.1f}   p95 {ordered[int(0.95 * (len(ordered) - 1))]:6.1f}"


def main(num_runs: int, program: Path) -> None:
    version = neovim_version(program)
    client = "native" if version >= (0, 12) else "own"
    new: list[Row] = []
    along: list[float] = []
    for run in range(num_runs):
        with tempfile.TemporaryDirectory() as folder:
            typist = run_once(program, Path(folder), client)
        counts = f"{len(typist.new)} new suggestions, {len(typist.along)} typed along, of {len(TYPED)} keys"
        sys.stdout.write(f"run {run + 1}: {counts}\n")
        sys.stdout.flush()
        new += typist.new
        along += typist.along
    sys.stdout.write(f"Neovim {version[0]}.{version[1]}, client {client!r}\n")
    for name, values in zip(PARTS, zip(*new, strict=True), strict=True):
        sys.stdout.write(f"{name:32} {shown(list(values))} ms\n")
    sys.stdout.write(f"{'key to ghost text, typed along':32} {shown(along)} ms\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1, Path(sys.argv[2]) if len(sys.argv) > 2 else find_neovim())

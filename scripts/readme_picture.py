"""Draws docs/ghost-text.svg: what the model in the box suggests at three places of a bundled sample.

usage: python scripts/readme_picture.py
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from completion_server.bootstrap import build_service
from completion_server.cli.ghost import code_with_ghost
from completion_server.config import load_settings
from completion_server.document import Document, Position, split_lines
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.service import CompletionService

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "completion_server" / "samples" / "inventory.py"
PLACES = ("        self.items.ap", "            if item", "        with open(path, ")
"""Beginnings of lines of the sample; the cursor stands at their ends, and the file ends there."""


def typed_until(text: str, beginning: str) -> tuple[Document, Position]:
    """The sample as it is while the line that starts with ``beginning`` is being typed."""
    head = text[: text.index(beginning) + len(beginning)]
    lines = split_lines(head)
    return Document.from_text(head + "\n", language_id="python"), Position(len(lines) - 1, len(lines[-1]))


def ask(service: CompletionService, document: Document, position: Position) -> str:
    request = CompletionRequest(
        document, position, TriggerKind.AUTOMATIC, Deadline.after_ms(1500), CancellationToken()
    )
    items = service.complete(request).items
    return items[0].text if items else ""


def main() -> None:
    service = build_service(load_settings().settings, lambda _message, _fraction: None)
    console = Console(file=io.StringIO(), record=True, width=72, force_terminal=True, color_system="truecolor")
    text = SAMPLE.read_text(encoding="utf-8")
    for number, beginning in enumerate(PLACES):
        document, position = typed_until(text, beginning)
        ghost = ask(service, document, position)
        picture = code_with_ghost(document, position, ghost, (4, 0), has_cursor=True)
        console.print(picture if number == 0 else Text("\n") + picture)
    svg = console.export_svg(title="completion-server", theme=MONOKAI)
    # Fonts would be fetched from elsewhere; any monospace font does.
    svg = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Some viewers drop leading spaces, also no-break ones, unless they are told not to.
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "ghost-text.svg").write_text(
        re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8"
    )


if __name__ == "__main__":
    main()

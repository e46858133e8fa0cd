"""The terminal editor: a screen, keys and a status bar around a text and its suggestions.

No key ever waits for the model. The file is written only by Ctrl-S.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document as BufferDocument
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.margins import NumberedMargin
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from completion_server.cli.edited_file import EditedFile
from completion_server.cli.ghost_control import GhostControl
from completion_server.cli.suggestion import SuggestionLoop, SuggestionSource, first_word
from completion_server.errors import DocumentError
from completion_server.request import TriggerKind

_HELP = "Tab accept · Ctrl-Right word · Esc dismiss · Ctrl-Space ask · Ctrl-S save · Ctrl-Q quit"
_STYLE = Style.from_dict({"ghost": "#808080 italic", "status": "reverse", "line-number": "#808080"})
_OPENS_BLOCK = re.compile(r"[:{(\[]\s*$")
_INDENT = "    "


class TerminalEditor:
    """One file in one window. ``run`` returns when the user leaves."""

    def __init__(
        self,
        file: EditedFile,
        uri: str,
        *,
        source: SuggestionSource | None = None,
        terminal_input: Input | None = None,
        terminal_output: Output | None = None,
    ) -> None:
        self._file = file
        self._saved_text = file.text
        self._message = ""
        self._repeat_to: str | None = None
        """The action that its key must be pressed again for."""
        self.server_state = "starting"
        self.suggestions = SuggestionLoop(source, uri, file.text, self._redraw)
        self.buffer = Buffer(multiline=True, document=BufferDocument(file.text, 0))
        self.buffer.on_text_changed += self._on_text_changed
        self.buffer.on_cursor_position_changed += self._on_cursor_moved
        self.application: Application[None] = Application(
            layout=self._make_layout(),
            key_bindings=self._make_key_bindings(),
            style=_STYLE,
            full_screen=True,
            mouse_support=False,
            input=terminal_input,
            output=terminal_output,
        )
        # Esc alone is a key here; the default waits half a second for more.
        self.application.ttimeoutlen = 0.05
        self.application.timeoutlen = 0.3

    @property
    def is_modified(self) -> bool:
        """Whether the text differs from what is on the disk."""
        return self.buffer.text != self._saved_text

    async def run(self) -> None:
        """Edit until the user leaves."""
        try:
            await self.application.run_async()
        finally:
            await self.suggestions.close()

    def connect(self, source: SuggestionSource) -> None:
        """The server is there and knows the text as it is now."""
        self.suggestions.connect(source, self.buffer.text)

    def show_state(self, state: str) -> None:
        """Say in the status bar what the server is doing."""
        self.server_state = state
        self._redraw()

    def accept(self, select: Callable[[str], str] = lambda ghost: ghost) -> bool:
        """Put the suggestion (or what ``select`` takes of it) into the text; False when there is none."""
        ghost = self.suggestions.ghost_at(self.buffer.cursor_position)
        if not ghost:
            return False
        self.buffer.insert_text(select(ghost))
        return True

    def save(self) -> None:
        """Write the file, unless someone else wrote it meanwhile and the user was not asked yet."""
        if self._file.has_changed_on_disk and not self._confirmed("save"):
            self._message = "the file was changed on the disk by someone else; Ctrl-S again overwrites it"
            return
        text = self.buffer.text
        try:
            self._file.save(text)
        except DocumentError as error:
            self._message = str(error)
            return
        self._saved_text = text
        self._message = f"saved {self._file.path.name}"

    def quit(self) -> None:
        """Leave; with unsaved changes only when asked twice."""
        if self.is_modified and not self._confirmed("quit"):
            self._message = "there are unsaved changes: Ctrl-S saves, Ctrl-Q again leaves without saving"
            return
        # A second key may come before the application has ended.
        if not self.application.is_done:
            self.application.exit()

    def _confirmed(self, action: str) -> bool:
        is_second = self._repeat_to == action
        self._repeat_to = None if is_second else action
        return is_second

    def _redraw(self) -> None:
        self.application.invalidate()

    def _on_text_changed(self, buffer: Buffer) -> None:
        self._message, self._repeat_to = "", None
        self.suggestions.text_changed(buffer.text, buffer.cursor_position)

    def _on_cursor_moved(self, buffer: Buffer) -> None:
        self.suggestions.cursor_moved(buffer.cursor_position)

    def _make_layout(self) -> Layout:
        control = GhostControl(
            self.buffer,
            lambda: self.suggestions.ghost_at(self.buffer.cursor_position),
            lexer=_make_lexer(self._file.path),
            input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ")],
        )
        text = Window(control, left_margins=[NumberedMargin()], wrap_lines=False)
        status = Window(FormattedTextControl(self._status_line), height=1, style="class:status")
        keys = Window(FormattedTextControl([("", _HELP)]), height=1)
        return Layout(HSplit([text, status, keys]), focused_element=text)

    def _status_line(self) -> StyleAndTextTuples:
        document = self.buffer.document
        star = "*" if self.is_modified else ""
        place = f"{document.cursor_position_row + 1}:{document.cursor_position_col + 1}"
        ends = " CRLF" if self._file.has_crlf else ""
        # A message to the user comes first: the end of the line may not fit.
        parts = [self._message, f"{self._file.path.name}{star}{ends}", place, self.server_state]
        parts.append(self.suggestions.note)
        return [("", " " + " | ".join(part for part in parts if part))]

    def _make_key_bindings(self) -> KeyBindings:
        keys = KeyBindings()

        def bind(action: Callable[[], object], *names: str) -> None:
            def handle(_event: KeyPressEvent) -> None:
                action()
                self._redraw()

            keys.add(*names)(handle)

        bind(self._accept_or_indent, "tab")
        bind(self._accept_word_or_move, "c-right")
        bind(self.suggestions.dismiss, "escape")
        bind(self._ask_by_hand, "c-@")
        bind(self._ask_by_hand, "escape", "\\")
        bind(self.save, "c-s")
        bind(self.quit, "c-q")
        bind(self.quit, "c-c")
        bind(self.buffer.undo, "c-z")
        bind(self._new_line, "enter")
        return keys

    def _accept_or_indent(self) -> None:
        if not self.accept():
            self.buffer.insert_text(self._tab_text())

    def _accept_word_or_move(self) -> None:
        if not self.accept(first_word):
            self.buffer.cursor_position += self.buffer.document.find_next_word_ending() or 0

    def _ask_by_hand(self) -> None:
        self.suggestions.ask(self.buffer.cursor_position, TriggerKind.INVOKED)

    def _new_line(self) -> None:
        self.buffer.insert_text("\n" + self._next_indent())

    def _tab_text(self) -> str:
        return "\t" if "\n\t" in self.buffer.text else _INDENT

    def _next_indent(self) -> str:
        """The indentation of the line so far, one step deeper after what opens a block."""
        line = self.buffer.document.current_line_before_cursor
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        return indent + self._tab_text() if _OPENS_BLOCK.search(line) else indent


def _make_lexer(path: Path) -> PygmentsLexer | None:
    try:
        lexer: Any = PygmentsLexer.from_filename(str(path), sync_from_start=False)
    except Exception:  # noqa: BLE001 - colours are not worth an error, whatever a lexer's plug-in does
        return None
    return lexer if isinstance(lexer, PygmentsLexer) else None

"""The terminal editor through its real keys, against a scripted source of suggestions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from completion_server.cli.edited_file import EditedFile
from completion_server.cli.suggestion import first_word
from completion_server.cli.terminal_editor import TerminalEditor
from completion_server.document import LineBuffer, Position
from completion_server.request import CompletionItem, TriggerKind

URI = "file:///w/a.py"
CTRL_RIGHT, ESCAPE, CTRL_SPACE, CTRL_S, CTRL_Q = "\x1b[1;5C", "\x1b", "\x00", "\x13", "\x11"


@dataclass(frozen=True)
class ScriptedReply:
    items: tuple[CompletionItem, ...]
    elapsed_ms: float = 5.0


class ScriptedSource:
    """Suggests ``ghost`` after the word "go"; keeps the text as a server would."""

    def __init__(self, text: str, ghost: str = "ne = 1") -> None:
        self.buffer = LineBuffer(text)
        self.ghost = ghost
        self.triggers: list[TriggerKind] = []
        self.is_slow = False

    def change(self, uri: str, start: Position, end: Position, text: str) -> None:
        assert uri == URI
        self.buffer.replace(start, end, text)

    async def inline_completion(
        self, uri: str, position: Position, trigger: TriggerKind = TriggerKind.AUTOMATIC
    ) -> ScriptedReply:
        self.triggers.append(trigger)
        if self.is_slow:
            await asyncio.Event().wait()
        before = self.buffer.snapshot_lines()[position.line][: position.column]
        is_asked_for = before.endswith("go") or trigger is TriggerKind.INVOKED
        return ScriptedReply((CompletionItem(self.ghost, position, position),) if is_asked_for else ())

    async def execute_command(self, command: str, *arguments: Any) -> Any:
        return {"finish_reason": "skipped", "trigger_reason": "inside_word"}


class Screen:
    """An editor that runs, and its keyboard."""

    def __init__(self, editor: TerminalEditor, send: Callable[[str], None]) -> None:
        self.editor = editor
        self._send = send
        self._rendered = asyncio.Event()
        editor.application.after_render += lambda _app: self._rendered.set()

    async def press(self, keys: str, until: Callable[[], bool]) -> None:
        """Send ``keys`` and return when ``until`` holds; every change of state is followed by a rendering."""
        self._send(keys)
        while not until():
            self._rendered.clear()
            await self._rendered.wait()

    @property
    def text(self) -> str:
        return self.editor.buffer.text

    @property
    def ghost(self) -> str:
        return self.editor.suggestions.ghost_at(self.editor.buffer.cursor_position)

    @property
    def status(self) -> str:
        return "".join(fragment[1] for fragment in self.editor._status_line())


@asynccontextmanager
async def opened(path: Path, source: ScriptedSource | None = None) -> AsyncIterator[Screen]:
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        file = EditedFile(path)
        editor = TerminalEditor(file, URI, source=source, terminal_input=keyboard, terminal_output=DummyOutput())
        running = asyncio.ensure_future(editor.run())
        screen = Screen(editor, keyboard.send_text)
        yield screen
        if not (running.done() or editor.application.is_done):
            editor.application.exit()
        await running


async def test_tab_accepts_exactly_the_ghost_text(tmp_path: Path) -> None:
    source = ScriptedSource("", "ne = 1\n    two")
    async with opened(tmp_path / "a.py", source) as screen:
        await screen.press("go", lambda: screen.ghost == "ne = 1\n    two")
        assert screen.text == "go"
        await screen.press("\t", lambda: screen.text != "go")
        assert screen.text == "gone = 1\n    two"
        assert source.buffer.text == screen.text
    assert not (tmp_path / "a.py").exists()


async def test_tab_indents_where_nothing_is_suggested(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py", ScriptedSource("")) as screen:
        await screen.press("\tx", lambda: screen.text.endswith("x"))
        assert screen.text == "    x"


async def test_a_word_is_accepted_and_the_rest_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py", ScriptedSource("")) as screen:
        await screen.press("go", lambda: screen.ghost == "ne = 1")
        screen.editor.suggestions._source = None
        await screen.press(CTRL_RIGHT, lambda: screen.text == "gone")
        assert screen.ghost == " = 1"
        await screen.press(CTRL_RIGHT, lambda: screen.text == "gone =")


async def test_typing_along_keeps_the_suggestion_without_a_reply(tmp_path: Path) -> None:
    source = ScriptedSource("")
    async with opened(tmp_path / "a.py", source) as screen:
        await screen.press("go", lambda: screen.ghost == "ne = 1")
        source.is_slow = True
        await screen.press("n", lambda: screen.text == "gon")
        assert screen.ghost == "e = 1"
        await screen.press("x", lambda: screen.text == "gonx")
        assert screen.ghost == ""


async def test_escape_dismisses_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py", ScriptedSource("")) as screen:
        await screen.press("go", lambda: screen.ghost != "")
        await screen.press(ESCAPE, lambda: screen.ghost == "")
        assert screen.text == "go"
        assert "dismissed" in screen.status


async def test_typing_goes_on_while_the_model_is_busy(tmp_path: Path) -> None:
    source = ScriptedSource("")
    source.is_slow = True
    async with opened(tmp_path / "a.py", source) as screen:
        await screen.press("hello world", lambda: screen.text == "hello world")
        assert source.buffer.text == "hello world"


async def test_ctrl_space_asks_by_hand(tmp_path: Path) -> None:
    source = ScriptedSource("")
    async with opened(tmp_path / "a.py", source) as screen:
        await screen.press("x", lambda: "inside word" in screen.status)
        await screen.press(CTRL_SPACE, lambda: screen.ghost == "ne = 1")
        assert source.triggers[-1] is TriggerKind.INVOKED


async def test_alt_backslash_asks_by_hand(tmp_path: Path) -> None:
    source = ScriptedSource("")
    async with opened(tmp_path / "a.py", source) as screen:
        await screen.press(ESCAPE + "\\", lambda: screen.ghost == "ne = 1")
        assert source.triggers == [TriggerKind.INVOKED]


async def test_saving_keeps_crlf(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"one\r\ntwo\r\n")
    source = ScriptedSource("one\ntwo\n")
    async with opened(path, source) as screen:
        await screen.press("x\r", lambda: screen.text.startswith("x\n"))
        assert path.read_bytes() == b"one\r\ntwo\r\n"
        assert screen.editor.is_modified
        await screen.press(CTRL_S, lambda: "saved" in screen.status)
        assert not screen.editor.is_modified
    assert path.read_bytes() == b"x\r\none\r\ntwo\r\n"
    assert source.buffer.text == "x\none\ntwo\n"


async def test_unsaved_changes_are_asked_about(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py", ScriptedSource("")) as screen:
        await screen.press("x", lambda: screen.text == "x")
        await screen.press(CTRL_Q, lambda: "unsaved" in screen.status)
        assert screen.editor.application.is_running
        await screen.press("y", lambda: screen.text == "xy")
        await screen.press(CTRL_Q, lambda: "unsaved" in screen.status)
        await screen.press(CTRL_Q, lambda: screen.editor.application.is_done)
    assert not (tmp_path / "a.py").exists()


async def test_a_file_changed_by_someone_else_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old\n")
    async with opened(path, ScriptedSource("old\n")) as screen:
        await screen.press("x", lambda: screen.text == "xold\n")
        path.write_bytes(b"theirs, and longer\n")
        await screen.press(CTRL_S, lambda: "someone else" in screen.status)
        assert path.read_bytes() == b"theirs, and longer\n"
        await screen.press(CTRL_S, lambda: "saved" in screen.status)
    assert path.read_bytes() == b"xold\n"


async def test_a_new_line_takes_the_indentation(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py", ScriptedSource("")) as screen:
        await screen.press("if x:\ry\rz", lambda: screen.text.endswith("z"))
        assert screen.text == "if x:\n    y\n    z"


async def test_a_server_that_comes_late_knows_the_text(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.py") as screen:
        await screen.press("early ", lambda: screen.text == "early ")
        source = ScriptedSource(screen.text)
        screen.editor.connect(source)
        await screen.press("go", lambda: screen.ghost == "ne = 1")
        assert source.buffer.text == "early go"


def test_a_word_is_white_space_then_a_word_or_signs() -> None:
    assert [first_word(text) for text in ("foo(bar)", " = 1", "(x)", "\n    two", "   ", "")] == [
        "foo", " =", "(", "\n    two", "   ", "",
    ]  # fmt: skip

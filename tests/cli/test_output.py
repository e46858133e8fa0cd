from __future__ import annotations

import pytest

from completion_server.cli.output import make_console, shown_progress


@pytest.mark.parametrize(
    ("environment", "is_styled"),
    [
        ({"FORCE_COLOR": "1", "TERM": "xterm-256color"}, True),
        ({"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
        ({"TERM": "xterm-256color"}, False),
    ],
)
def test_escape_codes_are_for_terminals_that_want_them(
    environment: dict[str, str],
    is_styled: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console = make_console()
    console.print("text", style="bold red")
    assert ("\x1b" in capsys.readouterr().out) is is_styled


def test_text_with_brackets_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print("[bold]x[/bold] :smile: [0]")
    assert capsys.readouterr().out == "[bold]x[/bold] :smile: [0]\n"


def test_progress_without_a_terminal_is_a_line_per_message(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(make_console()) as progress:
        for message, fraction in (("downloading", None), ("downloading", 0.5), ("", 0.7), ("ready", None)):
            progress(message, fraction)
    assert capsys.readouterr().out == "... downloading\n... ready\n"

"""The entry point: which of its two ways a command line takes."""

from __future__ import annotations

import sys

import pytest

from completion_server.__main__ import main
from completion_server.cli import app, serve_command
from completion_server.errors import ModelError


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ways: list[str] = []
    monkeypatch.setattr(serve_command, "run", lambda *_, **__: ways.append("serve"))
    monkeypatch.setattr(app, "app", lambda **_: ways.append("command line"))
    return ways


@pytest.mark.parametrize(
    ("arguments", "way"),
    [
        (["serve"], "serve"),
        (["serve", "--offline"], "command line"),
        (["serve", "--help"], "command line"),
        ([], "command line"),
    ],
)
def test_only_a_server_without_options_needs_no_parser(
    taken: list[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], way: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["completion-server", *arguments])
    main()
    assert taken == [way]


def test_an_interrupted_server_leaves_as_other_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve_command, "run", interrupt)
    monkeypatch.setattr(sys, "argv", ["completion-server", "serve"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130


def test_an_error_that_has_a_sentence_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("the model is broken")

    monkeypatch.setattr(serve_command, "run", fail)
    monkeypatch.setattr(sys, "argv", ["completion-server", "serve"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == "completion-server: the model is broken"  # printed to stderr, with exit code 1

"""Emacs itself with the configuration of its README, the real server and the model in the box.

``tests/editors/emacs_setup.sh`` installs what this needs; without it the tests are skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.emacs_session import (
    ENTER,
    QUIT,
    TAB,
    EmacsSession,
    Event,
    find_emacs,
    readme_lisp,
    running_emacs,
)

pytestmark = [pytest.mark.default_model, pytest.mark.timeout(600)]

PATIENT = {"COMPLETION_SERVER_LATENCY_AUTOMATIC_TIMEOUT_MS": "20000"}
TEXT = '''\
import json


def read_config(path):
    """Read a JSON file and return its content."""
    with open(path) as file:
        return json.load(file)


def write_config(path, config):
    """Write the config as JSON."""
    with open(path, "w") as file:
        '''


def find_or_skip() -> Path:
    emacs = find_emacs()
    if isinstance(emacs, str):
        pytest.skip(emacs)
    return emacs


@pytest.fixture(scope="module")
def emacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmacsSession]:
    """One Emacs for all tests, each with a file of its own."""
    with running_emacs(find_or_skip(), tmp_path_factory.mktemp("emacs"), readme_lisp()[0], PATIENT) as session:
        yield session


def suggestion_after(session: EmacsSession, name: str, text: str, typed: str, rest: str = "") -> Event:
    """Open a file of ``text`` and ``rest``, type between them, and wait for what is shown then."""
    session.open(name, text + rest)
    session.go_to_end(len(rest))
    session.press(typed)
    session.wait_for("command", text=text + typed + rest)
    shown = session.wait_for("shown")
    assert shown["insert_text"].strip()
    assert shown["screen"] == text + typed + shown["insert_text"] + rest
    return shown


def test_ghost_text_appears_by_itself_and_tab_takes_exactly_that(emacs: EmacsSession) -> None:
    shown = suggestion_after(emacs, "accept.py", TEXT, "js")
    assert "json" in shown["screen"].splitlines()[-1]
    emacs.press(TAB)
    accepted = emacs.wait_for("command", name="lsp-inline-completion-accept")
    assert accepted["text"] == shown["screen"]
    assert accepted["point"] == len(accepted["text"])
    assert not accepted["is_shown"]
    assert emacs.has_same_text_as_server()


def test_quit_takes_it_away_and_leaves_the_text_alone(emacs: EmacsSession) -> None:
    suggestion_after(emacs, "dismiss.py", TEXT, "js")
    emacs.press(QUIT)
    emacs.wait_for("dismissed")
    left = emacs.wait_for("command", name="lsp-inline-completion-cancel")
    assert (left["text"], left["point"], left["is_shown"]) == (TEXT + "js", len(TEXT + "js"), False)


def test_typing_on_takes_it_away_and_brings_a_new_one(emacs: EmacsSession) -> None:
    first = suggestion_after(emacs, "typing.py", TEXT, "js")
    emacs.press(first["insert_text"][0])
    emacs.wait_for("dismissed")
    assert not emacs.wait_for("command", name="self-insert-command")["is_shown"]
    second = emacs.wait_for("shown")
    assert second["screen"] == first["screen"]
    assert second["insert_text"] == first["insert_text"][1:]


@pytest.mark.parametrize(
    ("name", "before"),
    [("umlaut", 'größe = "ÄÖÜ"; '), ("japanese", 'text = "日本語"; '), ("emoji", 'face = "😀👩‍💻"; ')],
)
def test_text_of_several_bytes_before_the_cursor(emacs: EmacsSession, name: str, before: str) -> None:
    shown = suggestion_after(emacs, f"{name}.py", TEXT + before, "json.d", rest="\n\nprint(1)\n")
    emacs.press(TAB)
    accepted = emacs.wait_for("command", name="lsp-inline-completion-accept")
    assert accepted["text"] == shown["screen"]
    assert emacs.has_same_text_as_server()


def test_asked_for_by_hand_there_may_be_several(emacs: EmacsSession) -> None:
    emacs.open("invoked.py", TEXT)
    emacs.go_to_end()
    emacs.press("\x1bxlsp-inline-completion-display", ENTER)
    first = emacs.wait_for("shown")
    assert first["num_items"] > 1
    emacs.press("\x0e")
    second = emacs.wait_for("shown")
    assert second["insert_text"] != first["insert_text"]
    emacs.press("\x10")
    assert emacs.wait_for("shown")["screen"] == first["screen"]
    emacs.press(TAB)
    assert emacs.wait_for("command", name="lsp-inline-completion-accept")["text"] == first["screen"]


def test_settings_reach_the_server(tmp_path: Path) -> None:
    configuration = "\n".join(readme_lisp())
    with running_emacs(
        find_or_skip(), tmp_path, configuration, {"COMPLETION_SERVER_MODEL_OFFLINE": "1"}
    ) as session:
        assert session.open("settings.py", TEXT)["model_name"] == "qwen2.5-coder-0.5b"

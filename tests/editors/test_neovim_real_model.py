"""Neovim with the real server and the model in the box: what it suggests is shown, and taken as it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.editors.neovim_session import REAL_SERVER, NeovimSession, find_neovim
from tests.editors.neovim_typist import random_keys

pytestmark = [pytest.mark.default_model, pytest.mark.timeout(600)]

# What is tested is not how fast the machine is, nor how sure the model is.
PATIENT = {"latency": {"automaticTimeoutMs": 30_000}, "generation": {"suggestions": "eager"}}
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
NEW_LINE = "Go        "


@pytest.fixture(scope="module")
def real_neovim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeovimSession]:
    """One for all tests: the model is loaded once."""
    with NeovimSession(find_neovim(), tmp_path_factory.mktemp("neovim")) as session:
        session.start(TEXT, REAL_SERVER, settings=PATIENT)
        yield session


@pytest.fixture
def neovim(real_neovim: NeovimSession) -> Iterator[NeovimSession]:
    """Insert mode on a new last line, with ghost text of the model."""
    real_neovim.lua("vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(..., '\\n'))", TEXT.rstrip("\n"))
    real_neovim.type(NEW_LINE)
    real_neovim.wait_for_ghost()
    yield real_neovim
    real_neovim.type("<Esc>")


def ghost_of(neovim: NeovimSession) -> str:
    ghost = neovim.ghost()
    assert ghost is not None
    return ghost


def test_tab_accepts_exactly_the_ghost_text(neovim: NeovimSession) -> None:
    before, ghost = neovim.lines(), ghost_of(neovim)
    assert ghost.strip()
    assert neovim.look().text(len(before) - 1) == before[-1] + ghost.split("\n")[0]
    neovim.type("<Tab>")
    assert neovim.lines() == [*before[:-1], *(before[-1] + ghost).split("\n")]
    neovim.assert_server_has_the_text()


def test_word_by_word_and_then_the_line(neovim: NeovimSession) -> None:
    last = len(neovim.lines()) - 1
    line, ghost = neovim.lines()[last], ghost_of(neovim).split("\n")[0]
    neovim.type("<M-Right>")
    word = neovim.lines()[last].removeprefix(line)
    assert word
    assert len(word) < len(ghost)
    assert ghost.startswith(word)
    # A longer suggestion may have come in the meantime, never another one.
    rest = ghost_of(neovim).split("\n")[0]
    assert rest.startswith(ghost.removeprefix(word))
    neovim.type("<M-Down>")
    assert neovim.lines()[last].startswith(line + ghost)


def test_dismiss(neovim: NeovimSession) -> None:
    before = neovim.lines()
    neovim.type("<C-]>")
    assert neovim.ghost() is None
    assert neovim.lines() == before


def test_typing_along_keeps_it_in_every_frame(neovim: NeovimSession) -> None:
    row, ghost = len(neovim.lines()) - 1, ghost_of(neovim).split("\n")[0]
    shown = neovim.lines()[row] + ghost
    for letter in ghost[:-1]:
        neovim.look()
        neovim.type(letter)
        screens = neovim.look().frames_of(row)
        assert screens
        assert all(frame.startswith(shown) for frame in screens), screens


def test_500_random_keys(neovim: NeovimSession) -> None:
    neovim.type("<Esc>")
    for number, key in enumerate(random_keys(7, 500)):
        neovim.press(key)
        if number % 10 == 0:
            neovim.settle()
    neovim.settle()
    neovim.assert_server_has_the_text()

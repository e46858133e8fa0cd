"""Fixtures of the tests with a real Neovim.

Others than the one of the wheel: ``TEST_NEOVIM=/path/to/nvim`` for the plugin's own client (0.10 or later) and
``TEST_NEOVIM_NATIVE=/path/to/nvim`` for the client that is built into 0.12.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.neovim_session import FAKE_SERVER, NeovimSession, find_native_neovim, find_neovim

# Long enough to cancel a request before it ends by itself.
PATIENT = {"latency": {"automaticTimeoutMs": 60_000}}


@pytest.fixture
def neovim(tmp_path: Path) -> Iterator[NeovimSession]:
    """Neovim 0.10 or later with the plugin on its path; it shows suggestions by the plugin's own client."""
    with NeovimSession(find_neovim(), tmp_path, client="own") as session:
        yield session


@pytest.fixture
def native_neovim(tmp_path: Path) -> Iterator[NeovimSession]:
    """Neovim 0.12 or later, which has a client of its own."""
    with NeovimSession(find_native_neovim(), tmp_path, client="auto") as session:
        yield session


@pytest.fixture(scope="module")
def running_neovim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeovimSession]:
    with NeovimSession(find_neovim(), tmp_path_factory.mktemp("neovim"), client="own") as session:
        session.setup(FAKE_SERVER, settings=PATIENT)
        yield session


@pytest.fixture
def shared_neovim(running_neovim: NeovimSession) -> NeovimSession:
    """``neovim`` with the scripted server of ``tests.support``, one for all tests of a module: half the time."""
    running_neovim.start_over()
    return running_neovim


@pytest.fixture(scope="module")
def running_native_neovim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeovimSession]:
    with NeovimSession(find_native_neovim(), tmp_path_factory.mktemp("neovim"), client="auto") as session:
        session.setup(FAKE_SERVER, settings=PATIENT)
        yield session


@pytest.fixture
def shared_native_neovim(running_native_neovim: NeovimSession) -> NeovimSession:
    """The same with the client built in."""
    running_native_neovim.start_over()
    return running_native_neovim

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.raw_client import RawClient


@pytest.fixture
def start_client() -> Iterator[Callable[..., RawClient]]:
    """Starts clients of a scripted server, not yet initialized; all are ended with the test."""
    with ExitStack() as stack:
        yield lambda *command: stack.enter_context(RawClient(*command))


@pytest.fixture
def raw(start_client: Callable[..., RawClient]) -> RawClient:
    """A client of a scripted server, not yet initialized."""
    return start_client()


@pytest.fixture
def client(raw: RawClient) -> RawClient:
    """A client of a scripted server whose model is loaded."""
    return raw.ready()

"""Settings of the whole suite."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings

# Set before torch is imported anywhere: tiny models gain nothing from a second thread, and on a busy machine two
# threads that wait for each other at every operation are many times slower than one. Started servers inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shared engine would outlive the test that started it; the tests about it say so themselves.
os.environ["COMPLETION_SERVER_MODEL_SHARED"] = "false"

# Servers started by tests write their log here, never into the user's own state folder.
os.environ["XDG_STATE_HOME"] = mkdtemp(prefix="completion-server-tests-")

# No time limit per example: a loaded machine is not a fault of the code. CI runs the same examples each time.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(autouse=True)
def same_logging_afterwards() -> Iterator[None]:
    """A command that is run in this process sets up logging for all of it."""
    package = logging.getLogger("completion_server")
    level = package.level
    yield
    package.setLevel(level)

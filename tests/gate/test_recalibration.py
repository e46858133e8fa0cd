"""The gate of a model that is loaded: its calibration, moved by the user's own log."""

from __future__ import annotations

from pathlib import Path

import pytest

from completion_server import bootstrap
from completion_server.catalog.origin import write_origin
from completion_server.config import LogSettings, ModelSettings, Settings
from completion_server.gate.calibration import Calibration
from completion_server.gate.gate import MAX_SHIFT
from completion_server.usage_log.place import DATABASE_NAME
from completion_server.usage_log.store import ShownSuggestion, UsageStore, now
from tests.gate.test_gate import make_calibration


@pytest.fixture
def calibrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Calibration]:
    """A log in which none of 300 suggestions was taken, and the calibrations that there are."""
    monkeypatch.setattr(bootstrap, "state_dir", lambda: tmp_path)
    store = UsageStore(tmp_path / DATABASE_NAME)
    for number in range(300):
        key = str(number)
        store.add(ShownSuggestion(key, now(), "python", "smollm2-135m", "automatic", 0.5, 9, 1, 50.0))
        store.ignore(key)
    store.close()
    known = {"smollm2-135m": make_calibration()}
    monkeypatch.setattr(bootstrap, "packaged_calibration", known.get)
    return known


def test_a_log_of_ignored_suggestions_raises_the_bar(calibrations: dict[str, Calibration]) -> None:
    assert bootstrap._gate(Settings()).shift == -MAX_SHIFT


def test_switched_off_or_without_a_calibration_nothing_moves(calibrations: dict[str, Calibration]) -> None:
    assert bootstrap._gate(Settings(log=LogSettings(acceptance=False))).shift == 0
    calibrations.clear()
    gate = bootstrap._gate(Settings())
    assert (gate.shift, gate.is_calibrated) == (0, False)


def test_a_damaged_log_moves_nothing(calibrations: dict[str, Calibration], tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / DATABASE_NAME).write_bytes(b"no database" * 100)
    assert bootstrap._gate(Settings()).shift == 0


def test_a_model_made_from_another_has_its_calibration(
    calibrations: dict[str, Calibration], tmp_path: Path
) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    settings = Settings(model=ModelSettings(name=str(own)))
    assert not bootstrap._gate(settings).is_calibrated
    write_origin(own, "smollm2-135m")
    gate = bootstrap._gate(settings)
    # What the user took of the other model says nothing of this one.
    assert (gate.is_calibrated, gate.shift) == (True, 0)

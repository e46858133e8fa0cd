"""How threads share cores: what the kernel was told, where it can be read back."""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path

import pytest

from completion_server import scheduling

OWN_SCHEDULE = Path("/proc/thread-self/sched")


def read_slice_ns() -> int | None:
    """The calling thread's slice as Linux tells it; None where it does not."""
    if not OWN_SCHEDULE.is_file():
        return None
    found = [line for line in OWN_SCHEDULE.read_text(encoding="utf-8").splitlines() if line.startswith("se.slice")]
    return int(found[0].split(":")[1]) if found else None


def on_another_thread(call):  # type: ignore[no-untyped-def]
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def test_short_slices_are_asked_for_and_given_back() -> None:
    def measure() -> tuple[bool, int | None, bool, int | None]:
        return (
            scheduling.pass_on_quickly(), read_slice_ns(), scheduling.compute_steadily(), read_slice_ns(),
        )  # fmt: skip

    is_short, short_ns, is_steady, steady_ns = on_another_thread(measure)
    assert is_short == is_steady
    if short_ns is None or steady_ns is None or not is_short:
        pytest.skip("this system does not tell, or has no slices to choose")
    assert short_ns == 100_000 < steady_ns


def test_niceness_is_left_alone() -> None:
    if sys.platform != "linux":
        pytest.skip("niceness of a thread")

    def measure() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        scheduling.pass_on_quickly()
        scheduling.compute_steadily()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert on_another_thread(measure) == 7


@pytest.mark.parametrize(("name", "value"), [("platform", "darwin"), ("machine", "vax")])
def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    if name == "platform":
        monkeypatch.setattr(scheduling.sys, "platform", value)
    else:
        monkeypatch.setattr(scheduling.platform, "machine", lambda: value)
    assert scheduling.pass_on_quickly() is False
    assert scheduling.compute_steadily() is False


def test_what_was_loaded_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    try:
        scheduling.forget_loaded_objects()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_threads_that_run_python_code_take_turns_often() -> None:
    former = sys.getswitchinterval()
    try:
        scheduling.expect_many_switches()
        assert sys.getswitchinterval() < former
    finally:
        sys.setswitchinterval(former)

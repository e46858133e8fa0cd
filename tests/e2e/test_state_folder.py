"""The real server with a state folder that cannot be used: suggestions come, and one line in the log says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME
from completion_server.usage_log.store import read_rows
from tests.support.raw_client import FAKE_SERVER, RawClient

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs")

MOUNT = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount", "sh", "-c")
"""A shell that may mount, seen by its children only."""


def can_mount() -> bool:
    is_there = sys.platform == "linux" and shutil.which("unshare") is not None
    command = (*MOUNT, "mount -t tmpfs none /mnt")
    return is_there and subprocess.run(command, capture_output=True, check=False).returncode == 0


def complete(client: RawClient) -> None:
    client.ready()
    for number in range(3):
        uri = f"file:///work/{number}.py"
        client.open("x = 1\n", uri=uri)
        assert client.items(client.ask(0, 5, uri=uri))
        client.command("explain", uri)
    assert client.leave() == 0
    assert "Traceback" not in client.stderr


def below(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Something in place of the two files, in a folder that is right."""

    def make_both(home: Path) -> None:
        folder = home / "completion-server"
        folder.mkdir(parents=True)
        make(folder / DATABASE_NAME)
        make(folder / TRACES_NAME)

    return make_both


@pytest.mark.parametrize(
    "make",
    [
        lambda home: home.write_bytes(b""),
        os.mkfifo,
        lambda home: home.symlink_to("/proc/self"),
        lambda home: home.symlink_to(home.name),
        lambda home: home.symlink_to("/dev/full"),
        below(os.mkfifo),
        below(Path.mkdir),
        below(lambda path: path.symlink_to("/dev/full")),
        below(lambda path: path.symlink_to("/dev/zero")),
        below(lambda path: path.write_bytes(b"\xff" * 100_000)),
        below(lambda path: path.symlink_to(path.name)),
    ],
    ids=["file", "FIFO", "kernel", "loop", "device", "FIFOs", "directories", "full", "zero", "garbage", "loops"],
)
def test_suggestions_come_all_the_same(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "state")
    with RawClient(*FAKE_SERVER, env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}) as client:
        complete(client)
        assert client.stderr.count("WARNING") <= 3, client.stderr


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
@pytest.mark.parametrize("options", ["size=4k", "size=4k,nr_inodes=2", "ro", "size=40k"])
def test_a_full_or_read_only_disk(tmp_path: Path, options: str) -> None:
    script = f'mount -t tmpfs -o {options} none "{tmp_path}" && exec "$@"'
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    with RawClient(*MOUNT, script, "sh", *FAKE_SERVER, env=environment) as client:
        complete(client)
        assert client.stderr.count("WARNING") <= 3, client.stderr


def test_a_folder_that_is_right_gets_the_log(tmp_path: Path) -> None:
    with RawClient(*FAKE_SERVER, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)}) as client:
        complete(client)
    assert len(read_rows(tmp_path / "completion-server" / DATABASE_NAME)) == 3

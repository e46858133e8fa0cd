"""Which workspaces' files the user agreed to: kept in the state folder, by folder and content.

Owns the file with the answers and the sentences that ask. A file that cannot be read means that nothing was agreed
to. Two processes that write at once lose one answer, which is then asked for again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shlex
import tempfile
from pathlib import Path

import msgspec

from completion_server.config import WORKSPACE_FILE_NAME
from completion_server.safe_files import read_bounded
from completion_server.usage_log.place import state_dir
from completion_server.workspace_file import WorkspaceFile, read_workspace_file

TRUST_NAME = "trusted-workspaces.json"
MAX_DECISIONS = 500
_MAX_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class Decision(msgspec.Struct, frozen=True):
    """The user's answer for one content of the file in one folder."""

    folder: str
    digest: str
    is_allowed: bool


def read_with_agreement(folder: Path) -> WorkspaceFile:
    """The file in ``folder`` as it is now, with what the user said to it. Never raises."""
    file = read_workspace_file(folder)
    return dataclasses.replace(file, agreed=_answer_for(file)) if file.digest else file


def decisions() -> tuple[Decision, ...]:
    """All answers, oldest first; none where the file with them is missing or broken."""
    path = state_dir() / TRUST_NAME
    try:
        return tuple(msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=list[Decision]))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s cannot be read; no workspace's settings count as agreed to: %s", path, error)
        return ()


def remember(file: WorkspaceFile, *, is_allowed: bool) -> None:
    """Keep the user's answer for the content that was read. It takes the place of earlier ones for the folder.

    Raises OSError.
    """
    others = [each for each in decisions() if each.folder != _name_of(file.folder)]
    _write([*others, Decision(_name_of(file.folder), file.digest, is_allowed)])


def forget(folder: Path) -> bool:
    """Take back every answer for ``folder``; True where there was one. Raises OSError."""
    kept = [each for each in decisions() if each.folder != _name_of(folder)]
    if len(kept) == len(decisions()):
        return False
    _write(kept)
    return True


def question(file: WorkspaceFile, withheld: tuple[str, ...]) -> str:
    """What the user is asked where the client can ask."""
    return f"{_asks_for(file, withheld)} {_WHY} Use them?"


def how_to_allow(file: WorkspaceFile, withheld: tuple[str, ...]) -> str:
    """What is said to the user instead of, or beside, the question."""
    command = f"completion-server trust {shlex.quote(str(file.folder))}"
    return f"{_asks_for(file, withheld)} {_WHY} They are ignored; to use them, run: {command}"


_WHY = "Such settings can load files and take memory or processor time."


def _asks_for(file: WorkspaceFile, withheld: tuple[str, ...]) -> str:
    return f"{WORKSPACE_FILE_NAME} in {file.folder} asks for {', '.join(withheld)}."


def _answer_for(file: WorkspaceFile) -> bool | None:
    wanted = (_name_of(file.folder), file.digest)
    found = [each.is_allowed for each in decisions() if (each.folder, each.digest) == wanted]
    return found[-1] if found else None


def _name_of(folder: Path) -> str:
    """One name per folder, whatever links lead to it, that any file can hold."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        folder = folder.resolve()
    return str(folder).encode("utf-8", "backslashreplace").decode("utf-8")


def _write(kept: list[Decision]) -> None:
    folder = state_dir()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f".{TRUST_NAME}.", dir=folder)  # for the user alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept[-MAX_DECISIONS:]))
        os.replace(name, folder / TRUST_NAME)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise

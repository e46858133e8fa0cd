"""Which files are nobody's business: ``.gitignore``, ``.completionignore``, and names that stand for secrets.

Both files have git's syntax (gitignore(5), through ``pathspec``) and may lie in every directory; the nearest that
speaks of a path decides. They are looked at anew when they have changed on disk, so nobody need tell of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pathspec

from completion_server.secrets_filter import is_secret_file

GIT_IGNORE, COMPLETION_IGNORE = ".gitignore", ".completionignore"
_RECHECK_SECONDS = 2.0
_MAX_BYTES = 256 * 1024
_MAX_DIRECTORIES = 20_000

# Never source of the user's own, whatever the ignore files say; large in nearly every workspace that has them.
SKIPPED_DIRECTORIES = frozenset({
    "node_modules", "bower_components", "__pycache__", "site-packages", "venv", "env", "virtualenv", "target",
    "build", "dist", "out", "_build", "cmake-build-debug", "cmake-build-release", "bin", "obj", "coverage",
    "htmlcov", "DerivedData", "Pods", "elm-stuff", "bazel-out", "bazel-bin",
})  # fmt: skip


@dataclass
class _Rules:
    checked_at: float
    stamp: tuple[int, int] | None
    spec: pathspec.GitIgnoreSpec | None


class IgnoreRules:
    """The ignore files of one workspace. Used by one thread at a time."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._rules: dict[tuple[str, str], _Rules] = {}

    def reason_for_document(self, path: str) -> str | None:
        """Why no completion is given in the document at ``path`` (relative, forward slashes); None: it is."""
        name = path.rpartition("/")[2]
        if is_secret_file(name):
            return f"{name} is a kind of file that holds secrets"
        if self._is_ignored(path, COMPLETION_IGNORE):
            return f"the file is listed in {COMPLETION_IGNORE}"
        return None

    def is_hidden(self, path: str) -> bool:
        """Whether the file at ``path`` may not be read for other files' sake."""
        if self.reason_for_document(path) is not None or self._is_ignored(path, GIT_IGNORE):
            return True
        return any(is_skipped_directory(part) for part in path.split("/")[:-1])

    def hides_directory(self, path: str) -> bool:
        """Whether nothing below the directory ``path`` is read for other files' sake."""
        name = path.rpartition("/")[2]
        if is_skipped_directory(name):
            return True
        return any(self._decides(path + "/", kind) for kind in (GIT_IGNORE, COMPLETION_IGNORE))

    def _is_ignored(self, path: str, kind: str) -> bool:
        """A file is ignored by a pattern of its own, or for good with a directory above it."""
        parts = path.split("/")
        above = ("/".join(parts[:end]) + "/" for end in range(1, len(parts)))
        return any(self._decides(directory, kind) for directory in above) or self._decides(path, kind)

    def _decides(self, path: str, kind: str) -> bool:
        """What the nearest ignore file that speaks of ``path`` says; a directory's path ends with a slash."""
        parts = path.rstrip("/").split("/")
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._spec("/".join(parts[:depth]), kind)
            if spec is None:
                continue
            verdict = spec.check_file("/".join(parts[depth:]) + ("/" if path.endswith("/") else "")).include
            if verdict is not None:
                return verdict
        return False

    def _spec(self, directory: str, kind: str) -> pathspec.GitIgnoreSpec | None:
        now = self._clock()
        known = self._rules.get((directory, kind))
        if known is not None and now - known.checked_at < _RECHECK_SECONDS:
            return known.spec
        file = self._root / directory / kind
        stamp = _stamp(file)
        if known is not None and known.stamp == stamp:
            known.checked_at = now
            return known.spec
        if len(self._rules) >= _MAX_DIRECTORIES:
            self._rules.clear()
        spec = None if stamp is None else _read_spec(file)
        self._rules[directory, kind] = _Rules(now, stamp, spec)
        return spec


def is_skipped_directory(name: str) -> bool:
    """Whether a directory of this name is never looked into: tools' own, installed packages, build output."""
    return name in SKIPPED_DIRECTORIES or (name.startswith(".") and name not in {".", ".github"})


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def _read_spec(file: Path) -> pathspec.GitIgnoreSpec | None:
    """The patterns; a line that is none is left out, and a file that cannot be read has none."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(_MAX_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    good = []
    for line in lines:
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        good.append(line)
    return pathspec.GitIgnoreSpec.from_lines(good) if good else None

"""Which files are excluded: ``.gitignore``, ``.completionignore``, and names that stand for secrets.

Both files have git's syntax (gitignore(5)) and may lie in every directory. The nearest that speaks of a path
decides. They are looked at again when they have changed on disk. ``.completionignore`` counts from the root of the
file system downwards, ``.gitignore`` from the root of the repository.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from completion_server.context.ignore_patterns import PatternList
from completion_server.safe_files import FileRefusedError, read_bounded
from completion_server.secrets_filter import is_secret_file

log = logging.getLogger(__name__)

GIT_IGNORE, COMPLETION_IGNORE = ".gitignore", ".completionignore"
_RECHECK_SECONDS = 2.0
_MAX_BYTES = 1024 * 1024
_MAX_DIRECTORIES = 20_000
_MAX_LEVELS = 64
_EVERYTHING = PatternList.from_lines(["*"])

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
    patterns: PatternList | None


class IgnoreRules:
    """The ignore files that speak of one workspace. Used by one thread at a time."""

    def __init__(
        self, root: Path, clock: Callable[[], float] = time.monotonic, *, is_workspace: bool = True
    ) -> None:
        """``is_workspace``: the user opened ``root``, so its ignore files count for every owner."""
        self._root = root
        self._is_workspace = is_workspace
        self._clock = clock
        self._rules: dict[tuple[Path, str], _Rules] = {}
        self._verdicts: dict[tuple[str, str], tuple[float, bool]] = {}
        """Of directories, by path and kind of ignore file: when it was found, and whether they are ignored."""
        self._reported: set[Path] = set()
        above = tuple(root.parents)[:_MAX_LEVELS]
        self._bases = {COMPLETION_IGNORE: above[-1] if above else root, GIT_IGNORE: _repository_root(root) or root}

    def reason_for_document(self, path: str) -> str | None:
        """Why no completion is given in the document at ``path`` (relative, forward slashes); None: it is."""
        name = path.rpartition("/")[2]
        if is_secret_file(f"{self._root.as_posix()}/{path}"):
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
        return any(self._is_ignored(path + "/", kind) for kind in (GIT_IGNORE, COMPLETION_IGNORE))

    def _is_ignored(self, path: str, kind: str) -> bool:
        """A file is ignored by a pattern of its own, or for good with a directory above it."""
        base = self._bases[kind]
        prefix = self._root.relative_to(base).as_posix()
        full = path if prefix == "." else f"{prefix}/{path}"
        parts = full.rstrip("/").split("/")
        above = ("/".join(parts[:end]) + "/" for end in range(1, len(parts)))
        return any(self._ignores_directory(each, kind) for each in above) or self._decides(full, kind)

    def _ignores_directory(self, path: str, kind: str) -> bool:
        """Remembered for as long as the files are not looked at again: every file below asks the same."""
        now = self._clock()
        known = self._verdicts.get((path, kind))
        if known is not None and now - known[0] < _RECHECK_SECONDS:
            return known[1]
        if len(self._verdicts) >= _MAX_DIRECTORIES:
            self._verdicts.clear()
        verdict = self._decides(path, kind)
        self._verdicts[path, kind] = now, verdict
        return verdict

    def _decides(self, path: str, kind: str) -> bool:
        """What the nearest ignore file that speaks of ``path`` says; a directory's path ends with a slash."""
        base, parts = self._bases[kind], path.rstrip("/").split("/")
        slash = "/" if path.endswith("/") else ""
        for depth in range(len(parts) - 1, -1, -1):
            patterns = self._patterns(base.joinpath(*parts[:depth]), kind)
            if patterns is None:
                continue
            verdict = patterns.verdict("/".join(parts[depth:]) + slash)
            if verdict is not None:
                return verdict
        return False

    def _patterns(self, directory: Path, kind: str) -> PatternList | None:
        now = self._clock()
        known = self._rules.get((directory, kind))
        if known is not None and now - known.checked_at < _RECHECK_SECONDS:
            return known.patterns
        file = directory / kind
        is_above = not self._is_workspace or not directory.is_relative_to(self._root)
        try:
            stamp = _stamp(file, must_be_ours=is_above)
            if known is not None and known.stamp == stamp:
                known.checked_at = now
                return known.patterns
            patterns = None if stamp is None else self._read(file, file.parent if is_above else self._root)
        except (OSError, ValueError) as error:
            stamp, patterns = None, self._unreadable(file, kind, str(error))
        if len(self._rules) >= _MAX_DIRECTORIES:
            self._rules.clear()
        self._rules[directory, kind] = _Rules(now, stamp, patterns)
        return patterns

    def _read(self, file: Path, root: Path) -> PatternList | None:
        """The patterns; a line that is none is left out. Raises OSError where the file must not be read."""
        text = read_bounded(file, _MAX_BYTES, root).decode("utf-8", "replace")
        patterns = PatternList.from_lines(text.splitlines())
        if patterns.num_left_out:
            raise FileRefusedError(f"{file} has patterns that are too long or too many")
        return patterns if patterns.patterns else None

    def _unreadable(self, file: Path, kind: str, problem: str) -> PatternList | None:
        """What a file means that cannot be read.

        It may exclude files that the user wants to keep private, so a regular ``.completionignore`` then excludes
        everything below it. Anything else (a pipe, a device) is no ignore file.
        """
        excludes_all = kind == COMPLETION_IGNORE and _is_regular(file)
        if file not in self._reported:
            self._reported.add(file)
            meaning = "all files below it are excluded" if excludes_all else "it is ignored"
            log.warning("%s; %s", problem, meaning)
        return _EVERYTHING if excludes_all else None


def is_skipped_directory(name: str) -> bool:
    """Whether a directory of this name is never looked into: tools' own, installed packages, build output."""
    return name in SKIPPED_DIRECTORIES or (name.startswith(".") and name not in {".", ".github"})


def _repository_root(directory: Path) -> Path | None:
    """The nearest directory above, or ``directory`` itself, that git keeps a repository in."""
    for each in (directory, *tuple(directory.parents)[:_MAX_LEVELS]):
        try:
            if os.path.lexists(each / ".git"):
                return each
        except (OSError, ValueError):
            return None
    return None


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        return False


def _stamp(file: Path, *, must_be_ours: bool) -> tuple[int, int] | None:
    """None where there is no such file, or above the workspace one of another user, who could hide our files."""
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if must_be_ours and hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), 0):
        return None
    return status.st_mtime_ns, status.st_size

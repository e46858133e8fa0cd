"""Sources of a corpus become directories: packages are downloaded with their registry's own client and unpacked.

Nothing that comes with a package is run: Python packages are taken as wheels only (a source distribution would run
its build script), npm packages with ``npm pack``, Debian source packages without their build rules.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from completion_server.environment import for_child
from completion_server.training.corpus_licence import (
    DebianCopyright,
    is_permissive,
    licence_of_metadata,
    parse_debian_copyright,
)
from completion_server.training.corpus_recipe import Source
from completion_server.training.error import TrainingError

RunClient = Callable[[Sequence[str], Path], None]
"""``run(command, directory)`` runs a registry's client there; raises TrainingError when it fails."""

_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING", "LICENCE")
_LICENCE_TEXTS = {
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a copy",
    "Apache-2.0": "Apache License\n",
    "BSD-3-Clause": "Redistribution and use in source and binary forms, with or without",
    "ISC": "Permission to use, copy, modify, and/or distribute this software for any",
}
_COMMAND_SECONDS = 600
_MAX_UNPACKED_BYTES = 800 << 20


@dataclass(frozen=True)
class FetchedSource:
    """A source on this disk. ``sha256``: of the archive; None for a directory, which has no version either."""

    source: Source
    root: Path
    version: str | None
    licence: str
    sha256: str | None = None
    copyright: DebianCopyright | None = None

    def allows(self, path: str) -> bool:
        """Whether the file at ``path`` (relative to ``root``) is under a permissive licence, as far as is said."""
        if self.copyright is None or self.source.licence is not None:
            return True
        return is_permissive(self.copyright.licence_of(path))


def run_client(command: Sequence[str], directory: Path) -> None:
    """Run ``command`` in ``directory``; TrainingError with the end of its error output when it fails."""
    try:
        result = subprocess.run(
            command,
            cwd=directory,
            env=for_child(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrainingError(f"{command[0]} cannot be run: {error}") from error
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines()
        raise TrainingError(f"{' '.join(command[:3])}... failed: {lines[-1] if lines else 'no message'}")


def fetch_source(source: Source, directory: Path, run: RunClient = run_client) -> FetchedSource:
    """Bring ``source`` to this disk, under the empty ``directory``. TrainingError when it cannot be had, or when
    its licence is not known or not permissive."""
    directory.mkdir(parents=True, exist_ok=True)
    fetched = _FETCHERS[source.kind](source, directory, run)
    if not is_permissive(fetched.licence):
        raise TrainingError(f"{source.key}: licence {fetched.licence!r} is not known to be permissive; left out")
    return fetched


def _open_directory(source: Source, _directory: Path, _run: RunClient) -> FetchedSource:
    root = Path(source.name)
    if not root.is_dir():
        raise TrainingError(f"{root} is not a directory")
    return FetchedSource(source, root, None, source.licence or _licence_of_text(root) or "unknown")


def _fetch_wheel(source: Source, directory: Path, run: RunClient) -> FetchedSource:
    requirement = source.name if source.version is None else f"{source.name}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "download", *options, "--dest", str(directory), requirement], directory)
    wheel = _only_file(directory, "*.whl", source)
    root = directory / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_UNPACKED_BYTES:
            raise TrainingError(f"{source.key}: the wheel is too large")
        archive.extractall(root)
    metadata = next(root.glob("*.dist-info/METADATA"))
    text = metadata.read_text(encoding="utf-8", errors="replace")
    licence = source.licence or licence_of_metadata(text) or _licence_of_text(root) or "unknown"
    for info in root.glob("*.dist-info"):
        shutil.rmtree(info)
    return FetchedSource(source, root, wheel.name.split("-")[1], licence, _take(wheel))


def _fetch_npm(source: Source, directory: Path, run: RunClient) -> FetchedSource:
    spec = source.name if source.version is None else f"{source.name}@{source.version}"
    run(["npm", "pack", "--ignore-scripts", "--silent", spec], directory)
    archive = _only_file(directory, "*.tgz", source)
    _unpack(archive, directory / "unpacked")
    root = directory / "unpacked" / "package"
    if not root.is_dir():
        root = next(path for path in (directory / "unpacked").iterdir() if path.is_dir())
    facts = json.loads((root / "package.json").read_text(encoding="utf-8"))
    stated = facts.get("license")
    licence = source.licence or (stated.get("type") if isinstance(stated, dict) else stated) or "unknown"
    return FetchedSource(source, root, str(facts.get("version")), str(licence), _take(archive))


def _fetch_debian(source: Source, directory: Path, run: RunClient) -> FetchedSource:
    spec = source.name if source.version is None else f"{source.name}={source.version}"
    run(["apt-get", "source", "--download-only", "--only-source", "-q", spec], directory)
    description = _only_file(directory, "*.dsc", source)
    upstream = sorted(directory.glob("*.orig.tar.*")) or sorted(directory.glob("*.tar.*"))
    archives = [path for path in upstream if not path.name.endswith(".asc") and ".debian.tar" not in path.name]
    root = directory / "unpacked"
    for archive in archives:
        _unpack(archive, root)
    for packaging in directory.glob("*.debian.tar.*"):
        _unpack(packaging, directory / "packaging")
    copyright_file = directory / "packaging" / "debian" / "copyright"
    text = copyright_file.read_text(encoding="utf-8", errors="replace") if copyright_file.is_file() else ""
    facts = parse_debian_copyright(text)
    licence = source.licence or (facts.main_licence if facts is not None else None) or "unknown"
    tops = [path for path in root.iterdir() if path.is_dir()]
    version = description.name.removesuffix(".dsc").split("_", 1)[1]
    digest = hashlib.sha256(b"".join(_digest(archive) for archive in archives)).hexdigest()
    for archive in (*archives, *directory.glob("*.tar.*")):
        archive.unlink(missing_ok=True)
    return FetchedSource(source, tops[0] if len(tops) == 1 else root, version, licence, digest, facts)


def _fetch_deb(source: Source, directory: Path, run: RunClient) -> FetchedSource:
    spec = source.name if source.version is None else f"{source.name}={source.version}"
    run(["apt-get", "download", "-q", spec], directory)
    archive = _only_file(directory, "*.deb", source)
    version = archive.name.split("_")[1]
    root = directory / "unpacked"
    run(["dpkg-deb", "-x", str(archive), str(root)], directory)
    copyright_file = root / "usr" / "share" / "doc" / source.name / "copyright"
    text = copyright_file.read_text(encoding="utf-8", errors="replace") if copyright_file.is_file() else ""
    facts = parse_debian_copyright(text)
    licence = source.licence or (facts.main_licence if facts is not None else None) or "unknown"
    shutil.rmtree(root / "usr" / "share" / "doc", ignore_errors=True)
    while len(inside := list(root.iterdir())) == 1 and inside[0].is_dir():
        root = inside[0]
    return FetchedSource(source, root, version, licence, _take(archive), facts)


def _licence_of_text(root: Path) -> str | None:
    for name in _LICENCE_FILES:
        for path in [root / name, *root.glob(f"*.dist-info/**/{name}")]:
            if path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                return next((licence for licence, phrase in _LICENCE_TEXTS.items() if phrase in text), None)
    return None


def _only_file(directory: Path, pattern: str, source: Source) -> Path:
    found = list(directory.glob(pattern))
    if len(found) != 1:
        raise TrainingError(f"{source.key}: the client left {len(found)} archives instead of one")
    return found[0]


def _unpack(archive: Path, root: Path) -> None:
    """Regular files only, so no links; names that lead out of ``root`` are refused.

    By tarfile's own filter as well, where there is one: Python 3.10 before .12 and 3.11 before .4 have none.
    """
    root.mkdir(parents=True, exist_ok=True)
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.isfile() and member.size < _MAX_UNPACKED_BYTES]
            for member in members:
                if not (root / member.name).resolve().is_relative_to(root.resolve()):
                    raise tarfile.ExtractError(f"{member.name} leads out of its directory")
            tar.extractall(root, members, **safely)
    except (OSError, tarfile.TarError) as error:
        raise TrainingError(f"{archive.name} cannot be unpacked: {error}") from error


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _take(archive: Path) -> str:
    digest = _digest(archive).hex()
    archive.unlink()
    return digest


_FETCHERS: dict[str, Callable[[Source, Path, RunClient], FetchedSource]] = {
    "directory": _open_directory,
    "wheel": _fetch_wheel,
    "npm": _fetch_npm,
    "debian": _fetch_debian,
    "deb": _fetch_deb,
}

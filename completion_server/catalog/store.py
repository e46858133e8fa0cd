"""The models directory: what is installed, and installing so that a half-made model never looks installed.

Layout under ``cache_dir``: ``models/NAME/`` (one model each, with its manifest), ``hub/`` (the Hub client's own
cache), ``incomplete/`` (work in progress, on the same file system so that a rename publishes it), ``locks/``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from completion_server.catalog.checksums import CHECKSUMS_NAME, find_damaged, record
from completion_server.catalog.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest
from completion_server.catalog.progress import Progress, no_progress
from completion_server.errors import ModelError, ModelNotFoundError

Build = Callable[[Path], Manifest]
"""Puts a model's files into the empty directory it is given; the returned manifest needs no ``files``
unless it has a ``location``."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_REPLACED_SUFFIX = ".replaced"
_VARIANT_MARK = "+"  # in no name of a model
_DAY_SECONDS, _UNUSED_DAYS = 86_400.0, 30

log = logging.getLogger(__name__)


def default_cache_dir() -> Path:
    """Where models are kept when no setting says otherwise."""
    return platformdirs.user_cache_path("completion-server", appauthor=False)


@dataclass(frozen=True)
class InstalledModel:
    """``path`` is the directory to load; ``num_bytes`` what it takes on the disk."""

    name: str
    path: Path
    num_bytes: int
    manifest: Manifest
    variant: str = ""

    @property
    def source(self) -> str:
        """Where it came from, for the user."""
        source = self.manifest.source
        if source.get("kind") == "package":
            return f"package {source.get('distribution')} {source.get('version')}"
        if source.get("kind") == "hub":
            return f"hub {source.get('repo_id')}"
        return f"file {source.get('path')}"


class ModelStore:
    """All operations on one ``cache_dir``. Reading never writes; writers of one model exclude each other."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._models = cache_dir / "models"
        self._incomplete = cache_dir / "incomplete"
        self._locks = cache_dir / "locks"

    @property
    def hub_dir(self) -> Path:
        """The cache directory for the Hub client."""
        return self._cache_dir / "hub"

    def list_installed(self) -> list[InstalledModel]:
        """Every whole model, by name."""
        try:
            directories = sorted(self._models.iterdir())
        except OSError:
            return []
        found = (self._inspect(directory) for directory in directories)
        return sorted((model for model in found if model is not None), key=lambda model: model.name)

    def find_by_name(self, name: str) -> InstalledModel | None:
        """An installed model called ``name``, of whatever variant."""
        return next((model for model in self.list_installed() if model.name == name), None)

    def find(self, name: str, variant: str = "") -> InstalledModel | None:
        """The installed model called ``name``, or None if it is missing or not whole.

        ``variant`` tells models of one name apart that were made in different ways, by versions of this program
        that share a cache directory.
        """
        model = self._inspect(self._models / directory_name(name, variant))
        return model if model is not None and model.name == name else None

    def find_damaged(self, model: InstalledModel) -> Path | None:
        """A file of ``model`` that is not what was installed; None when all are. Raises OSError."""
        directory = self._models / directory_name(model.name, model.variant)
        files = [model.path / relative for relative in model.manifest.files]
        return find_damaged(model.path, files, directory / CHECKSUMS_NAME)

    def adopt(self, name: str, variant: str, is_current: Callable[[Manifest], bool]) -> None:
        """Give a model that was installed without a variant the folder of its variant, where it is that one."""
        old, new = self._models / directory_name(name), self._models / directory_name(name, variant)
        model = self._inspect(old)
        if model is None or new.exists() or not is_current(model.manifest):
            return
        with contextlib.suppress(OSError), self._locked(name, no_progress):
            old.rename(new)

    def remove_unused_variants(self, name: str, variant: str) -> None:
        """Delete other variants of ``name`` that no version of this program has used for a month."""
        for model in self.list_installed():
            manifest = self._models / directory_name(name, model.variant) / MANIFEST_NAME
            if model.name != name or model.variant in {"", variant} or not _is_old(manifest):
                continue
            with contextlib.suppress(OSError), self._locked(name, no_progress):
                shutil.rmtree(manifest.parent)
                log.info("%s, made by another version and unused for a month, was removed", manifest.parent)

    def note_use(self, model: InstalledModel) -> None:
        """Remember that ``model`` is in use, once a day."""
        manifest = self._models / directory_name(model.name, model.variant) / MANIFEST_NAME
        with contextlib.suppress(OSError):
            if _age_seconds(manifest) > _DAY_SECONDS:
                os.utime(manifest)

    def install(
        self,
        name: str,
        build: Build,
        progress: Progress = no_progress,
        is_current: Callable[[Manifest], bool] = lambda _: True,
        variant: str = "",
    ) -> InstalledModel:
        """The installed model ``name``, built now if it is missing or not ``is_current``.

        Another process doing the same is waited for, and its result used. Whatever stops ``build``, nothing is
        left behind. Raises what ``build`` raises, and ModelError when the directory cannot be written.
        """
        try:
            with self._locked(name, progress):
                model = self.find(name, variant)
                if model is None or not is_current(model.manifest):
                    self._remove_leftovers(name)
                    self._build(name, build, variant)
                    model = self.find(name, variant)
        except OSError as error:
            raise ModelError(
                f"the models directory {self._cache_dir} cannot be written: {error.strerror or error} "
                "(free some space there, or set another directory with model.cacheDir)"
            ) from error
        if model is None:
            raise ModelError(f"{name} was installed but its files in {self._models} cannot be read back")
        return model

    def remove(self, name: str) -> int:
        """Delete the installed model ``name``; bytes freed. Raises ModelNotFoundError, ModelError."""
        models = [model for model in self.list_installed() if model.name == name]
        if not models:
            raise ModelNotFoundError(f"no model called {name} is installed in {self._models}")
        for model in models:
            self._remove(model)
        return sum(model.num_bytes for model in models)

    def _remove(self, model: InstalledModel) -> None:
        name = model.name
        try:
            with self._locked(name, no_progress):
                trash = self._incomplete / (directory_name(name) + _REPLACED_SUFFIX)
                shutil.rmtree(trash, ignore_errors=True)
                trash.parent.mkdir(parents=True, exist_ok=True)
                # The rename first: a removal that is cut short leaves nothing that looks installed.
                (self._models / directory_name(name, model.variant)).rename(trash)
                shutil.rmtree(trash)
                self._remove_hub_files(model)
        except OSError as error:
            raise ModelError(f"{name} cannot be removed: {error.strerror or error}; is it in use?") from error

    def _remove_hub_files(self, model: InstalledModel) -> None:
        repo_id = model.manifest.source.get("repo_id")
        if model.manifest.location is not None and isinstance(repo_id, str):
            shutil.rmtree(self.hub_dir / f"models--{repo_id.replace('/', '--')}", ignore_errors=True)

    def _inspect(self, directory: Path) -> InstalledModel | None:
        manifest = read_manifest(directory)
        if manifest is None or not manifest.files:
            return None
        path = directory if manifest.location is None else self._cache_dir / manifest.location
        for relative, size in manifest.files.items():
            try:
                if (path / relative).stat().st_size != size:
                    return None
            except OSError:
                return None
        variant = directory.name.removeprefix(directory_name(manifest.name)).removeprefix(_VARIANT_MARK)
        return InstalledModel(manifest.name, path, sum(manifest.files.values()), manifest, variant)

    def _build(self, name: str, build: Build, variant: str) -> None:
        staging = self._incomplete / directory_name(name)
        staging.mkdir(parents=True)
        try:
            manifest = build(staging)
            if manifest.location is None:
                manifest = replace(manifest, files=_file_sizes(staging))
            write_manifest(staging, manifest)
            path = staging if manifest.location is None else self._cache_dir / manifest.location
            record(path, [path / relative for relative in manifest.files], staging / CHECKSUMS_NAME)
            _sync_tree(staging)
            self._publish(staging, self._models / directory_name(name, variant))
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _publish(self, staging: Path, directory: Path) -> None:
        directory.parent.mkdir(parents=True, exist_ok=True)
        replaced = self._incomplete / (directory.name + _REPLACED_SUFFIX)
        if directory.exists():
            directory.rename(replaced)
        staging.rename(directory)
        _sync_directory(directory.parent)
        shutil.rmtree(replaced, ignore_errors=True)

    def _remove_leftovers(self, name: str) -> None:
        """Delete what killed installations left, of ``name`` (locked by us) and of idle models."""
        if not self._incomplete.is_dir():
            return
        for leftover in self._incomplete.iterdir():
            owner = leftover.name.removesuffix(_REPLACED_SUFFIX)
            if owner == directory_name(name):
                shutil.rmtree(leftover, ignore_errors=True)
                continue
            with contextlib.suppress(Timeout), FileLock(self._locks / f"{owner}.lock", timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str, progress: Progress) -> Iterator[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._locks / f"{directory_name(name)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("waiting for another process that installs this model", 0, None)
            lock.acquire(poll_interval=0.1)
        try:
            yield
        finally:
            lock.release()


def directory_name(name: str, variant: str = "") -> str:
    """``name`` as a directory name: ``org/model`` becomes ``org--model``; never a path."""
    safe = _UNSAFE.sub("--", name).lstrip(".") or "model"
    return f"{safe}{_VARIANT_MARK}{variant}" if variant else safe


def _age_seconds(path: Path) -> float:
    return max(datetime.now(tz=timezone.utc).timestamp() - path.stat().st_mtime, 0.0)


def _is_old(manifest: Path) -> bool:
    try:
        return _age_seconds(manifest) > _UNUSED_DAYS * _DAY_SECONDS
    except OSError:
        return False


def _file_sizes(directory: Path) -> dict[str, int]:
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in {MANIFEST_NAME, CHECKSUMS_NAME}
    }


def _sync_tree(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    _sync_directory(directory)


def _sync_directory(directory: Path) -> None:
    # Windows cannot open a directory; its rename is durable without this.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

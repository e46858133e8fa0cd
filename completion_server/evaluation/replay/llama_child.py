"""llama.cpp's own server in a process of its own: ``python -m ...llama_child MODEL THREADS CONTEXT SLOT_DIR``.

Prints its address as one JSON line and ends when its stdin ends, so that it never outlives its parent. The only
module that imports ``xllamacpp``.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    """Start the server, say where it is, wait for the end of stdin."""
    model, num_threads, num_context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    llama = import_module("xllamacpp")
    parameters = llama.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = num_context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = num_threads
    parameters.cpuparams_batch.n_threads = num_threads
    parameters.n_gpu_layers = 0
    parameters.endpoint_slots = True
    parameters.endpoint_metrics = True
    parameters.ui = False
    server = llama.Server(parameters)
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()

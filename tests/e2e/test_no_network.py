"""The real server and its engine send nothing and look up no name, where every connection would be seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from completion_server.bootstrap import cache_dir_of
from completion_server.config import ModelSettings
from completion_server.environment import SILENT
from tests.support.network_sink import can_make_namespaces
from tests.support.raw_client import RawClient

_ROOT = Path(__file__).parents[2]
_WATCHED_SECONDS = 12.0
"""ONNX Runtime's telemetry looked up its first name 2 s after it was loaded."""


def use_the_server(*options: str) -> None:
    """What a user does, in the namespace: load the model, ask, and leave the editor open for some time."""
    with RawClient(sys.executable, "-m", "completion_server", "serve", *options) as client:
        client.ready(options={"latency": {"invokedTimeoutMs": 60_000}})
        assert client.status()["state"] == "ready", client.status()
        client.open("def add(a, b):\n    return \n", uri="file:///work/add.py")
        assert client.items(client.ask(1, 11, uri="file:///work/add.py", trigger=1))
        time.sleep(_WATCHED_SECONDS)  # a connection that is never made cannot be waited for
        assert client.leave() == 0


def watched(tmp_path: Path, *command: str, **changes: str) -> dict[str, Any]:
    """What ``command`` tries to reach, with an empty home folder. Its output is shown when it fails."""
    model_cache = str(cache_dir_of(ModelSettings()))
    silent = {name: changes.pop(name, "") for name in SILENT}  # what the user's environment says is no matter
    env = {**os.environ, **silent, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache"), **changes}
    env |= {"COMPLETION_SERVER_MODEL_CACHE_DIR": model_cache, "XDG_RUNTIME_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.network_sink", *command],
        cwd=_ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    seen: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert seen.pop("rc") == 0, result.stdout + result.stderr
    return seen


needs_namespaces = pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces cannot be made here")
NOTHING: dict[str, Any] = {"names": [], "connections": []}


@needs_namespaces
def test_the_sink_sees_names_and_addresses(tmp_path: Path) -> None:
    script = "import socket\nfor host in ('a.example', '192.0.2.7'): socket.create_connection((host, 443))"
    seen = watched(tmp_path, sys.executable, "-c", script)
    assert seen == {"names": ["a.example"], "connections": ["10.0.0.1:443", "192.0.2.7:443"]}


@needs_namespaces
@pytest.mark.default_model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shared", ["true", "false"], ids=["shared engine", "no shared engine"])
def test_server_and_engine_reach_for_nothing(tmp_path: Path, shared: str) -> None:
    pull = [sys.executable, "-m", "completion_server", "models", "pull", "smollm2-135m"]
    subprocess.run(pull, check=True, capture_output=True, timeout=500)
    scenario = "from tests.e2e.test_no_network import use_the_server; use_the_server()"
    changes = {"COMPLETION_SERVER_MODEL_SHARED": shared, "COMPLETION_SERVER_MODEL_SHARED_IDLE_MINUTES": "1"}
    assert watched(tmp_path, sys.executable, "-c", scenario, **changes) == NOTHING
    assert not (tmp_path / ".cache" / "Microsoft").exists()


@pytest.mark.parametrize(
    "module", ["completion_server", "completion_server.llama.child", "completion_server.cli.app"]
)
def test_libraries_are_silenced_before_any_of_them_is_imported(module: str) -> None:
    script = (
        "import builtins, os, sys\n"
        f"silent = {SILENT!r}\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('onnxruntime', 'huggingface_hub', 'transformers', 'msgspec'):\n"
        "            assert silent.items() <= os.environ.items(), name\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"import {module}\n"
        "assert silent.items() <= os.environ.items()\n"
    )
    env = {**os.environ, **dict.fromkeys(SILENT, "0")}
    subprocess.run([sys.executable, "-c", script], cwd=_ROOT, env=env, check=True, timeout=60)

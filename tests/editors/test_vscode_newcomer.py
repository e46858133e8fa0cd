"""From nothing to ghost text in VS Code: the extension installs the server it carries, which fetches its model.

Takes two minutes and, where pip's usual PyTorch is a CUDA build, 6 GB; so only on demand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.editors.test_vscode import PATIENT, TEXT, ask_whole_machine
from tests.editors.vscode_machine import INSTALLED, ROOT, Home, running_code_server

SWITCH = "TEST_VSCODE_INSTALL"
SCENARIO = Path(__file__).with_name("vscode_newcomer.mjs")

pytestmark = [
    pytest.mark.default_model,
    pytest.mark.timeout(1000),
    pytest.mark.skipif(SWITCH not in os.environ, reason=f"installs PyTorch anew: only with {SWITCH}=1"),
]


@contextmanager
def removed_afterwards(folder: Path) -> Iterator[None]:
    """pytest keeps the folders of its last runs; this one is gigabytes."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_newcomer_gets_ghost_text_by_one_button(tmp_path: Path) -> None:
    machine = ask_whole_machine()
    home = Home(tmp_path)
    pip_arguments = ["-c", str(ROOT / "constraints.txt")]
    trust = {"security.workspace.trust.enabled": False}
    home.prepare({**PATIENT, **trust, "completionServer.server.pipArguments": pip_arguments})
    (home.workspace / "config.py").write_text(TEXT)
    result = tmp_path / "seen.json"
    env = {**home.environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env.pop("PYTHONPATH", None)
    with running_code_server(machine, home, env) as url, removed_afterwards(home.folder / "user" / "User"):
        config = {
            "modules": str(INSTALLED),
            "chromium": machine.chromium,
            "url": f"{url}/?folder={home.workspace}",
            "viewport": {"width": 1000, "height": 460},
            "fileName": "config.py",
            "pictures": str(tmp_path),
            "result": str(result),
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
        subprocess.run([machine.node, SCENARIO, tmp_path / "config.json"], check=True, timeout=950)
    seen = json.loads(result.read_text())
    assert "error" not in seen, f"{seen}\nmore in {tmp_path}"
    assert "environment of its own" in seen["question"]
    assert seen["ghost"].startswith("dump(config, file)")
    times = f"installed after {seen['installSeconds']:.0f} s, the model ready after {seen['readySeconds']:.0f} s"
    sys.stdout.write(f"{times}\n")

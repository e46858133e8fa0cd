"""The commands of docs/shared-engine.md, run as they are written against a real engine process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.shared_engines import HANG_GUARD_SECONDS, make_model_directory

PAGE = Path(__file__).parents[2] / "docs" / "shared-engine.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_URL = "http://127.0.0.1:8765"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends the engine with a signal")


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == kind]


@dataclass
class Running:
    url: str
    token: str
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "completion_server", *arguments]
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return result.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = make_model_directory(tmp_path_factory.mktemp("model") / "tiny")
    with TemporaryDirectory(prefix="cs") as directory:
        home = Path(directory)
        (home / "run").mkdir(mode=0o700)
        environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_DATA_HOME": str(home / "data"),
            "COMPLETION_SERVER_MODEL_NAME": str(model),
            "COMPLETION_SERVER_MODEL_CACHE_DIR": str(home / "cache"),
            "COMPLETION_SERVER_MODEL_NUM_THREADS": "1",
        }
        (shown,) = [line.split() for block in blocks("sh") for line in block.splitlines() if "--http" in line]
        command = [sys.executable, "-m", "completion_server", *shown[1:-1], "127.0.0.1:0"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = ""
            while (found := re.search(r"HTTP at (\S+), .* in (\S+)\n", said)) is None:
                line = process.stderr.readline()
                assert line, said
                said += line
            token = Path(found[2]).read_text().strip()
            yield Running(found[1], token, environment)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_GUARD_SECONDS) == 0


def test_status_and_http(running: Running) -> None:
    status = json.loads(running.command("engine", "--status", "--json"))
    assert [engine["num_windows"] for engine in status] == [0]
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not there")
    command = [
        curl,
        "-s",
        "--retry",
        "100",
        "--retry-delay",
        "0",
        "--retry-all-errors",
        "-f",
        f"{running.url}/health",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG_GUARD_SECONDS)
    commands = blocks("bash")
    assert len(commands) == 4
    for text in commands:
        command = ["sh", "-c", text.replace(SHOWN_URL, running.url)]
        environment = {**running.environment, "TOKEN": running.token, "no_proxy": "*"}
        reply = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        if '"stream": true' in text:
            assert reply.rstrip().endswith("data: [DONE]")
            continue
        answer = json.loads(reply)
        assert "error" not in answer, answer
        assert answer.keys() & {"choices", "content", "data"}


def test_the_commands_of_the_page_exist(running: Running) -> None:
    shown = running.command("engine", "--help")
    for option in ("--http", "--http-allow-remote", "--status", "--stop", "--idle-minutes"):
        assert option in shown
    assert "--no-shared" in running.command("serve", "--help")

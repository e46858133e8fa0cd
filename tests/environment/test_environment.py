"""What children inherit."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import completion_server
from completion_server.environment import API_KEY, SILENT, for_child, silence_libraries


def test_what_the_environment_says_of_telemetry_is_overruled() -> None:
    environ = {"ORT_DISABLE_TELEMETRY": "0", "PATH": "/bin"}
    silence_libraries(environ)
    assert environ == {**SILENT, "PATH": "/bin"}


def test_a_child_gets_no_key_unless_it_is_given_one() -> None:
    environ = {API_KEY: "secret", "PATH": "/bin"}
    assert for_child(environ) == {"PATH": "/bin"}
    assert for_child(environ, "other") == {API_KEY: "other", "PATH": "/bin"}
    assert environ[API_KEY] == "secret"


def test_every_child_process_of_the_product_is_told_its_environment() -> None:
    """A call without ``env`` would hand the key on."""
    package = Path(completion_server.__file__).parent
    careless = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name.startswith(("subprocess.", "asyncio.create_subprocess")) and not name.endswith("Error"):
                assert isinstance(node, ast.Call)
                if not any(keyword.arg == "env" for keyword in node.keywords):
                    careless.append(f"{path.relative_to(package)}:{node.lineno}")
    assert careless == []


def test_a_started_process_is_silent() -> None:
    script = "import completion_server, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    result = subprocess.run([sys.executable, "-c", script], env={}, capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"

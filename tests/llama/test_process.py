"""The child with llama.cpp's server in it: its key, its end, its words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from completion_server.errors import ModelError
from completion_server.llama.child import LlamaOptions
from completion_server.llama.process import LlamaProcess, why_refused
from tests.catalog.gguf_samples import write_tiny_llama
from tests.support.tiny_gguf import write_alphabet_gguf

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
ROOT = Path(__file__).parents[2]
GUARD_SECONDS = 60.0
UNKNOWN_ARCHITECTURE = """\
0.00.003.298 I srv    load_model: loading model 'a.gguf'
0.00.004.054 E llama_model_load_from_file_impl: failed to load model
0.00.004.116 E common_fit_params: encountered an error while trying to fit params: failed to load model
0.00.004.319 E llama_model_load: error loading model: unknown model architecture: 'ollma'
0.00.004.335 E llama_model_load_from_file_impl: failed to load model
0.00.004.598 E srv          init: exiting due to model loading error
"""
ORPHAN = """
import os, sys
from completion_server.llama.child import LlamaOptions
from completion_server.llama.process import LlamaProcess
process = LlamaProcess(LlamaOptions(sys.argv[1], 1, 512))
if sys.argv[2] == "ready":
    assert process.address(60)
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_alphabet_gguf(tmp_path_factory.mktemp("model") / "alphabet.gguf")


@pytest.fixture
def llama(model: Path) -> Iterator[LlamaProcess]:
    process = LlamaProcess(LlamaOptions(str(model), 1, 512))
    yield process
    process.stop()


def test_only_who_has_the_key_is_answered(llama: LlamaProcess) -> None:
    url = llama.address(GUARD_SECONDS)
    assert url is not None
    assert url.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=url, trust_env=False, timeout=GUARD_SECONDS) as client:
        body = {"prompt": [1], "n_predict": 1}
        assert client.post("/completion", json=body).status_code == 401
        assert client.get("/props").status_code == 401
        key = {"Authorization": f"Bearer {llama.api_key}"}
        assert client.post("/completion", json=body, headers=key).status_code == 200
        assert client.get("/slots", headers=key).status_code != 200  # it would show the user's text
        assert "html" not in client.get("/").headers.get("content-type", "")


def test_the_key_is_in_no_command_line_and_another_each_time(llama: LlamaProcess, model: Path) -> None:
    assert llama.address(GUARD_SECONDS)
    assert not any(llama.api_key in part for part in psutil.Process(llama.pid).cmdline())
    other = LlamaProcess(LlamaOptions(str(model), 1, 512))
    assert other.api_key != llama.api_key
    other.stop()


def test_stop_ends_it_and_so_does_the_garbage_collector(model: Path) -> None:
    process = LlamaProcess(LlamaOptions(str(model), 1, 512))
    assert process.address(GUARD_SECONDS)
    pid, is_held = process.pid, weakref.ref(process)
    del process
    assert is_held() is None
    assert not psutil.pid_exists(pid)
    process = LlamaProcess(LlamaOptions(str(model), 1, 512))  # stopped while it starts
    process.stop()
    assert not psutil.pid_exists(process.pid)
    with pytest.raises(ModelError):
        process.address(GUARD_SECONDS)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("when", ["ready", "loading"])
def test_it_does_not_outlive_a_parent_that_was_killed(model: Path, when: str) -> None:
    command = [sys.executable, "-c", ORPHAN, str(model), when]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    assert has_ended(child)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel watches the pipe on Linux only")
def test_it_does_not_outlive_its_parent_while_it_loads_and_holds_the_interpreters_lock(tmp_path: Path) -> None:
    path = tmp_path / "never.gguf"
    os.mkfifo(path)  # opening it for reading takes for ever, in C++
    command = [sys.executable, "-c", ORPHAN, str(path), "loading"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            if not comes_true(lambda: "wait_for_partner" in what_threads_wait_for(child.pid)):
                pytest.skip("this kernel does not tell what a process waits for")
            parent.kill()
            assert has_ended(child)
        finally:
            parent.kill()
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def what_threads_wait_for(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/wchan"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            found.append(path.read_text())
    return found


def has_ended(process: psutil.Process) -> bool:
    def is_over() -> bool:
        try:
            return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)  # nobody may reap it here
        except psutil.NoSuchProcess:
            return True

    return comes_true(is_over)


def comes_true(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.01)
    return True


def test_a_death_is_told_with_its_signal(llama: LlamaProcess) -> None:
    assert llama.address(GUARD_SECONDS)
    os.kill(llama.pid, signal.SIGTERM)
    llama._process.wait()
    with pytest.raises(ModelError, match=r"ended \((signal|exit status)"):
        llama.address()


def test_a_refused_file_is_told_in_llama_cpps_words(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_llama(path)
    data = path.read_bytes()
    for content, words in (
        (data.replace(b"llama", b"ollma"), "llama.cpp: unknown model architecture: 'ollma'"),
        (data[:-5000], "llama.cpp: .*not within the file bounds"),
        (b"junk" * 10, "llama.cpp: invalid magic"),
    ):
        path.write_bytes(content)
        process = LlamaProcess(LlamaOptions(str(path), 1, 512))
        with pytest.raises(ModelError, match=words):
            process.address(GUARD_SECONDS)
        process.stop()


def test_what_lies_in_the_working_directory_is_not_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("open('was_run', 'w').close()\n")
    (tmp_path / "completion_server").mkdir()
    (tmp_path / "completion_server" / "__init__.py").write_text("open('was_run', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    process = LlamaProcess(LlamaOptions(str(model), 1, 512))
    assert process.address(GUARD_SECONDS)
    process.stop()
    assert not (tmp_path / "was_run").exists()


def test_the_telling_line_of_a_log_is_found() -> None:
    assert why_refused(UNKNOWN_ARCHITECTURE.splitlines()) == "unknown model architecture: 'ollma'"
    assert why_refused(UNKNOWN_ARCHITECTURE.splitlines()[:2]) == "failed to load model"
    assert why_refused(["anything", ""]) == ""
    assert why_refused([]) == ""

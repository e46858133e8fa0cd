"""A workspace's file through the real server: read beside the loop, asked about once, used after an agreement."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from completion_server.trust import TRUST_NAME
from tests.config.test_workspace_file import HOSTILE
from tests.support.raw_client import FAKE_SERVER, RawClient

ASKS = {"window": {"showMessage": {"messageActionItem": {"additionalPropertiesSupport": True}}}}
PULL = {"workspace": {"configuration": True}}
FILE = ".completion-server.toml"
CONTENT = '[model]\nname = "theirs"\n[generation]\ntemperature = 0.5\n'
StartServer = Callable[[], RawClient]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / FILE).write_text(CONTENT)
    return workspace


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(state: Path) -> Iterator[StartServer]:
    """Starts servers with a state folder of the test's own."""
    with ExitStack() as stack:
        env = {**os.environ, "XDG_STATE_HOME": str(state)}

        def start_one() -> RawClient:
            client = stack.enter_context(RawClient(*FAKE_SERVER, env=env))
            client.answers_requests = False
            return client

        yield start_one


def messages(client: RawClient, method: str) -> list[str]:
    client.sync()
    return [n["params"]["message"] for n in client.notifications if n["method"] == method]


def ready(client: RawClient, folder: Path, capabilities: Any = None, options: Any = None) -> RawClient:
    return client.ready(capabilities, options, rootUri=folder.as_uri())


def values(client: RawClient) -> tuple[str, float]:
    model = client.status(wait=True)["model"]
    return model["name"], model["temperature"]


def questions(client: RawClient) -> list[dict[str, Any]]:
    client.sync()
    return [r for r in client.server_requests if r["method"] == "window/showMessageRequest"]


def answer(client: RawClient, result: Any) -> None:
    client.send({"jsonrpc": "2.0", "id": questions(client)[-1]["id"], "result": result})


def test_until_the_user_agreed_the_rest_applies_and_one_message_says_so(start: StartServer, folder: Path) -> None:
    client = ready(start(), folder)
    assert values(client) == ("smollm2-135m", 0.5)
    for _ in range(3):
        client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": {}}})
    (shown,) = messages(client, "window/showMessage")
    assert "model.name = 'theirs'" in shown
    assert f"completion-server trust {folder}" in shown
    assert "temperature" not in shown


def test_a_client_that_can_ask_asks_once_and_yes_applies_and_is_kept(
    start: StartServer, folder: Path, state: Path
) -> None:
    client = ready(start(), folder, ASKS)
    assert values(client) == ("smollm2-135m", 0.5), "nothing waits for the answer"
    (question,) = questions(client)
    assert "model.name = 'theirs'" in question["params"]["message"]
    assert [action["title"] for action in question["params"]["actions"]] == ["Use these settings", "Ignore"]
    assert messages(client, "window/showMessage") == []
    answer(client, {"title": "Use these settings"})
    wait_for_name(client, "theirs")
    path = state / "completion-server" / TRUST_NAME
    while not path.exists():
        pass
    assert path.stat().st_mode & 0o777 == 0o600
    again = ready(start(), folder, ASKS)
    assert values(again) == ("theirs", 0.5)
    assert questions(again) == []


@pytest.mark.parametrize(
    "result", [None, {"title": "Maybe"}, {}, [], "Use these settings", {"title": None}, {"title": ["x"]}, 1, True]
)
def test_any_other_answer_is_no_agreement(start: StartServer, folder: Path, state: Path, result: Any) -> None:
    client = ready(start(), folder, ASKS)
    answer(client, result)
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": {"logLevel": "info"}}})
    assert values(client)[0] == "smollm2-135m"
    assert len(questions(client)) == 1
    assert not (state / "completion-server" / TRUST_NAME).exists()
    assert "Traceback" not in client.stderr


def test_an_error_as_answer_is_no_agreement(start: StartServer, folder: Path) -> None:
    client = ready(start(), folder, ASKS)
    error = {"code": -32601, "message": "no"}
    client.send({"jsonrpc": "2.0", "id": questions(client)[-1]["id"], "error": error})
    assert values(client)[0] == "smollm2-135m"


def test_ignore_is_kept_and_not_asked_again_before_the_file_changes(
    start: StartServer, folder: Path, state: Path
) -> None:
    client = ready(start(), folder, ASKS)
    answer(client, {"title": "Ignore"})
    while not (state / "completion-server" / TRUST_NAME).exists():
        pass
    again = ready(start(), folder, ASKS)
    assert values(again) == ("smollm2-135m", 0.5)
    assert questions(again) == []
    assert messages(again, "window/showMessage") == []
    (folder / FILE).write_text(CONTENT + "# changed\n")
    assert len(questions(ready(start(), folder, ASKS))) == 1


def test_the_agreement_ends_when_the_file_changes_while_the_server_runs(start: StartServer, folder: Path) -> None:
    client = ready(start(), folder, ASKS)
    answer(client, {"title": "Use these settings"})
    wait_for_name(client, "theirs")
    (folder / FILE).write_text('[model]\nname = "evil"\n')
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": {}}})
    wait_for_name(client, "smollm2-135m")
    assert len(questions(client)) == 2


def test_a_workspace_that_is_not_trusted_is_not_asked_about(start: StartServer, folder: Path) -> None:
    client = ready(start(), folder, ASKS, {"trustWorkspace": False})
    assert values(client) == ("smollm2-135m", 0.0)
    assert questions(client) == []
    assert messages(client, "window/showMessage") == []


def test_switching_trust_off_and_on_while_the_server_runs(start: StartServer, folder: Path) -> None:
    client = ready(start(), folder)
    client.notify(
        "workspace/didChangeConfiguration", {"settings": {"completionServer": {"trustWorkspace": False}}}
    )
    while values(client)[1] != 0.0:
        pass
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": {"trustWorkspace": True}}})
    while values(client)[1] != 0.5:
        pass


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"null",
        b"{}",
        b'[{"folder": 1}]',
        b"\xff\xfe",
        b"[" * 100_000,
        b'[{"folder": "FOLDER", "digest": "x", "is_allowed": "yes"}]',
        b"9" * 5000,
        b"x" * (5 * 1024 * 1024),
    ],
    ids=range(10),
)
def test_a_broken_file_of_agreements_means_that_nothing_was_agreed(
    start: StartServer, folder: Path, state: Path, broken: bytes
) -> None:
    (state / "completion-server").mkdir(parents=True)
    path = state / "completion-server" / TRUST_NAME
    path.write_bytes(broken.replace(b"FOLDER", str(folder).encode()))
    client = ready(start(), folder, ASKS)
    assert values(client) == ("smollm2-135m", 0.5)
    answer(client, {"title": "Use these settings"})
    wait_for_name(client, "theirs")
    while not path.read_bytes().startswith(b'[{"folder"') or b"yes" in path.read_bytes():
        pass
    assert json.loads(path.read_bytes())[0]["is_allowed"] is True


def test_an_answer_that_cannot_be_kept_counts_all_the_same(start: StartServer, folder: Path, state: Path) -> None:
    state.write_text("a file where the state folder should be")
    client = ready(start(), folder, ASKS)
    answer(client, {"title": "Use these settings"})
    wait_for_name(client, "theirs")
    assert "Traceback" not in client.stderr


@pytest.mark.parametrize(
    "kind",
    [
        "FIFO",
        "link to /dev/zero",
        "link to stdin",
        "link out of the workspace",
        "number of 5,000 digits",
        "arrays in arrays",
        "dotted key",
        "invalid UTF-8",
    ],
)
def test_whatever_the_workspace_has_under_that_name_the_server_gets_ready(
    start: StartServer, folder: Path, kind: str
) -> None:
    (folder / FILE).unlink()
    HOSTILE[kind](folder / FILE)
    client = ready(start(), folder, options={"generation": {"temperature": 0.25}})
    status = client.status()
    assert (status["state"], status["model"]["temperature"]) == ("ready", 0.25)
    (shown,) = messages(client, "window/showMessage")
    assert f"{FILE} is ignored" in shown
    client.open("x")
    assert client.items(client.ask()) == ["fake_completion()"]
    assert client.leave() == 0


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"model": value}
    return value


@pytest.mark.parametrize(
    "options",
    [
        "text",
        7,
        [[]],
        True,
        {"model": []},
        {"model": {"name": {"name": "x"}}},
        {"model": {"name": "\ud800"}},
        {"model": {"name": "a\u0000b"}},
        {"generation": {"topK": 10**4000}},
        {"generation": {"seed": 10**30}},
        {"logLevel": ["debug"]},
        {"log": {"otlpEndpoint": {"a": 1}}},
        {"remote": [1]},
        {"": {"": {"": 1}}},
        _nested(300),
        {"remote": _nested(300)},
        {f"key{number}": number for number in range(5000)},
    ],
    ids=range(17),
)
def test_odd_settings_of_the_editor_do_not_keep_the_server_from_getting_ready(
    start: StartServer, folder: Path, options: Any
) -> None:
    client = start()
    client.answers_requests, client.configuration = True, options
    ready(client, folder, PULL)
    assert client.status()["state"] in ("ready", "error")
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": options}})
    client.configuration = {"model": {"name": "good"}}
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": {}}})
    wait_for_name(client, "good")
    assert all(len(text) < 3000 for text in messages(client, "window/showMessage"))
    assert "Traceback" not in client.stderr


def test_addresses_that_come_after_the_start_need_a_client_that_keeps_them_apart(
    start: StartServer, folder: Path
) -> None:
    client = start()
    client.answers_requests, client.configuration = True, {"remote": {"url": "http://evil.example"}}
    ready(client, folder, PULL)
    (warning,) = [text for text in messages(client, "window/showMessage") if "remote" in text]
    assert "initializationOptions" in warning
    assert "evil" not in warning
    assert "evil" not in json.dumps(client.status())


def wait_for_name(client: RawClient, name: str) -> None:
    while client.status(wait=True)["model"].get("name") != name:
        pass

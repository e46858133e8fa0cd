from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.raw_client import RawClient

PULL = {"workspace": {"configuration": True}}
COMPLETION = ["fake_completion()"]


def messages(client: RawClient, method: str) -> list[str]:
    client.sync()
    return [n["params"]["message"] for n in client.notifications if n["method"] == method]


def model(client: RawClient) -> dict[str, Any]:
    return dict(client.status(wait=True)["model"])


def test_initialization_options_reach_the_service(raw: RawClient) -> None:
    raw.ready(options={"model": {"name": "mine"}, "generation": {"temperature": 0.5}})
    assert (model(raw)["name"], model(raw)["temperature"]) == ("mine", 0.5)
    assert messages(raw, "window/showMessage") == []


def test_initialization_options_may_be_wrapped(raw: RawClient) -> None:
    raw.ready(options={"completionServer": {"model": {"name": "mine"}}})
    assert model(raw)["name"] == "mine"


def test_bad_values_fall_back_and_are_reported_once(raw: RawClient) -> None:
    options = {"generation": {"temperature": 9}, "colour": "red", "model": {"name": "mine"}}
    raw.ready(options=options)
    assert (model(raw)["name"], model(raw)["temperature"]) == ("mine", 0.0)
    for _ in range(3):
        raw.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": options}})
    (shown,) = messages(raw, "window/showMessage")
    assert "temperature" in shown
    assert "colour" in shown
    assert len([text for text in messages(raw, "window/logMessage") if "temperature" in text]) == 1
    assert raw.items(raw.ask()) == []


def test_initialization_options_of_the_wrong_type_are_reported(raw: RawClient) -> None:
    raw.ready(options=["nonsense"])
    (shown,) = messages(raw, "window/showMessage")
    assert "must be an object" in shown


def test_settings_are_pulled_where_the_client_can(raw: RawClient) -> None:
    raw.configuration = {"model": {"name": "pulled"}}
    raw.ready(PULL, {"model": {"name": "initial"}, "generation": {"temperature": 0.25}})
    assert (model(raw)["name"], model(raw)["temperature"]) == ("pulled", 0.25)
    assert model(raw)["loads"] == 1, "the model is loaded once the settings are known"
    (request,) = raw.server_requests
    assert request["params"] == {"items": [{"section": "completionServer"}]}


def test_a_client_without_settings_of_ours_answers_null(raw: RawClient) -> None:
    raw.ready(PULL, {"model": {"name": "initial"}})
    assert model(raw)["name"] == "initial"
    raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": "pushed"}}})
    wait_for_model(raw, "pushed")


def test_a_client_that_never_answers_the_pull_gets_completions_all_the_same(raw: RawClient) -> None:
    raw.answers_requests = False
    raw.ready(PULL)
    raw.open("x")
    assert raw.items(raw.ask()) == COMPLETION


def test_a_pull_that_fails_changes_nothing(raw: RawClient) -> None:
    raw.answers_requests = False
    raw.initialize(PULL, {"model": {"name": "initial"}})
    while not raw.server_requests:
        raw.sync()
    for request in raw.server_requests:
        raw.send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}})
    assert model(raw)["name"] == "initial"


def test_a_change_is_pulled_and_applied_without_loading_again(raw: RawClient) -> None:
    raw.ready(PULL)
    raw.configuration = {"generation": {"temperature": 0.75}}
    raw.notify("workspace/didChangeConfiguration", {"settings": None})
    while model(raw)["temperature"] != 0.75:
        pass
    assert model(raw)["loads"] == 1


def test_pushed_settings_for_others_are_not_ours(client: RawClient) -> None:
    for settings in ({"python": {"path": "x"}}, [], "text", 3, {}, None):
        client.notify("workspace/didChangeConfiguration", {"settings": settings})
    assert messages(client, "window/showMessage") == []
    client.notify("workspace/didChangeConfiguration", {"settings": {"completionServer": 3}})
    assert "must be an object" in messages(client, "window/showMessage")[0]
    assert client.status()["state"] == "ready"


def test_another_model_is_loaded_in_the_background(client: RawClient) -> None:
    client.open("WAIT\nx")
    request = client.ask()
    client.wait_until_running()
    client.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": "other"}}})
    assert client.items(request) == []
    wait_for_model(client, "other")
    assert model(client)["loads"] == 2
    assert client.items(client.ask(1)) == COMPLETION


def test_a_model_that_cannot_be_loaded_leaves_the_server_alive(raw: RawClient) -> None:
    raw.ready(options={"model": {"name": "FAIL"}})
    status = raw.status()
    assert status["state"] == "error"
    assert "completion-server models list" in status["message"]
    raw.open("x")
    assert raw.items(raw.ask()) == []
    assert raw.command("clearCaches") == {"cleared": False}
    raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": "CRASH"}}})
    while "ZeroDivisionError" not in (status := raw.status(wait=True))["message"]:
        pass
    assert status["state"] == "error"
    raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": "good"}}})
    wait_for_model(raw, "good")
    assert raw.items(raw.ask()) == COMPLETION
    shown = messages(raw, "window/showMessage")
    assert len(shown) == 2, "one for each reason"


def test_an_earlier_failure_is_tried_again_with_any_change(raw: RawClient) -> None:
    raw.ready(options={"model": {"name": "FAIL"}})
    raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": "FAIL"}}})
    raw.status(wait=True)
    assert raw.status()["state"] == "error"
    assert len(messages(raw, "window/showMessage")) == 1


def test_a_warning_about_the_model_is_shown_once(raw: RawClient) -> None:
    raw.ready(options={"model": {"name": "WARN"}})
    for name in ("good", "WARN"):
        raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": name}}})
        wait_for_model(raw, name)
    assert messages(raw, "window/showMessage") == ["WARN: of no known family"]
    assert raw.items(raw.ask()) == []


def test_the_workspace_file_is_read_and_the_editor_wins(raw: RawClient, tmp_path: Path) -> None:
    (tmp_path / ".completion-server.toml").write_text('[model]\nname = "file"\n[generation]\ntemperature = 0.5\n')
    raw.ready(options={"model": {"name": "editor"}}, rootUri=tmp_path.as_uri())
    assert (model(raw)["name"], model(raw)["temperature"]) == ("editor", 0.5)


def test_workspace_folders_come_before_the_root(raw: RawClient, tmp_path: Path) -> None:
    (tmp_path / ".completion-server.toml").write_text("[model\n")
    folders = [{"uri": tmp_path.as_uri(), "name": "x"}]
    raw.ready(workspaceFolders=folders, rootUri="file:///nonexistent")
    (shown,) = messages(raw, "window/showMessage")
    assert ".completion-server.toml is ignored" in shown


def test_switched_off_from_the_start_loads_nothing_until_switched_on(raw: RawClient) -> None:
    raw.initialize(options={"enabled": False})
    raw.open("x")
    assert raw.items(raw.ask()) == []
    status = raw.status(wait=True)
    assert (status["state"], status["model"]) == ("paused", {})
    raw.notify("workspace/didChangeConfiguration", {"settings": {"enabled": True}})
    assert model(raw)["loads"] == 1
    assert raw.items(raw.ask()) == COMPLETION


def test_clients_with_dynamic_registration_are_asked_to_tell_of_changes(raw: RawClient) -> None:
    raw.ready({"workspace": {"didChangeConfiguration": {"dynamicRegistration": True}}})
    (request,) = raw.server_requests
    assert request["method"] == "client/registerCapability"
    (registration,) = request["params"]["registrations"]
    assert registration["method"] == "workspace/didChangeConfiguration"


def test_progress_is_shown_while_loading(raw: RawClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    options = {"model": {"name": "CHATTY GATE", "cacheDir": str(gate)}}
    raw.initialize({"window": {"workDoneProgress": True}}, options)
    raw.wait_for_notification("$/progress")
    gate.touch()
    raw.status(wait=True)
    raw.sync()
    progress = [n["params"] for n in raw.notifications if n["method"] == "$/progress"]
    (create,) = raw.server_requests
    assert {entry["token"] for entry in progress} == {create["params"]["token"]}
    kinds = [entry["value"]["kind"] for entry in progress]
    assert (kinds[0], kinds[-1], kinds.count("end")) == ("begin", "end", 1)
    percentages = [entry["value"]["percentage"] for entry in progress if "percentage" in entry["value"]]
    assert percentages == sorted(percentages)


def test_progress_that_is_refused_or_never_answered_does_not_matter(raw: RawClient, tmp_path: Path) -> None:
    """pygls bug 9: tokens are kept for ever and cannot be used again."""
    raw.answers_requests = False
    raw.ready({"window": {"workDoneProgress": True}})
    for number in range(5):
        raw.notify("workspace/didChangeConfiguration", {"settings": {"model": {"name": f"m{number}"}}})
        wait_for_model(raw, f"m{number}")
    for request in raw.server_requests:
        raw.send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": "no"}})
    raw.notify("window/workDoneProgress/cancel", {"token": raw.server_requests[0]["params"]["token"]})
    assert raw.status()["num_unanswered_by_client"] == 0
    assert len({request["params"]["token"] for request in raw.server_requests}) == len(raw.server_requests)
    assert raw.leave() == 0
    assert "Traceback" not in raw.stderr


def wait_for_model(client: RawClient, name: str) -> None:
    """Settings may take effect only after a pull of their own, so one look is not enough."""
    while client.status(wait=True)["model"].get("name") != name:
        pass

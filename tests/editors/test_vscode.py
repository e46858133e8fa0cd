"""VS Code itself with the packaged extension, the real server and the model in the box.

``tests/editors/vscode_setup.sh`` installs what this needs; without it the tests are skipped, with the reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.editors.vscode_machine import (
    INSTALLED,
    ROOT,
    Home,
    Machine,
    find_machine,
    running_code_server,
    write_server,
)

pytestmark = [pytest.mark.default_model, pytest.mark.timeout(600)]

SCENARIO = Path(__file__).with_name("vscode_scenario.mjs")
PICTURE = ROOT / "editor-clients" / "vscode" / "images" / "ghost-text.png"
PATIENT = {"completionServer.latency.automaticTimeoutMs": 20_000}
TEXT = '''\
import json


def read_config(path):
    """Read a JSON file and return its content."""
    with open(path) as file:
        return json.load(file)


def write_config(path, config):
    """Write the config as JSON."""
    with open(path, "w") as file:
        '''

OF_WORKSPACE = {
    "completionServer.remote.url": "http://127.0.0.1:9/evil",
    "completionServer.remote.dialect": "ollama",
    "completionServer.remote.tokenizer": "/evil",
    "completionServer.log.otlpEndpoint": "http://127.0.0.1:9/evil",
    "completionServer.model.cacheDir": "/evil",
    "completionServer.server.path": "/evil",
    "completionServer.server.python": "/evil",
    "completionServer.cache.prefixCacheMb": 123,
    "completionServer.generation.seed": 7,
}
"""What the repository's .vscode/settings.json asks for."""

Seen = dict[str, Any]


def ask_whole_machine() -> Machine:
    machine = find_machine()
    if isinstance(machine, str):
        pytest.skip(machine)
    return machine


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Everything that was seen in one run of the scenario; the tests judge it part by part."""
    machine = ask_whole_machine()
    home = Home(tmp_path_factory.mktemp("vscode"))
    home.prepare(PATIENT)
    file = home.workspace / "config.py"
    file.write_text(TEXT)
    logs = {"pathLog": home.folder / "path.jsonl", "workspaceLog": home.folder / "workspace.jsonl"}
    write_server(home.folder / "bin" / "completion-server", logs["pathLog"])
    write_server(home.workspace / ".venv" / "bin" / "completion-server", logs["workspaceLog"])
    (home.workspace / ".completion-server.toml").write_text("[generation]\nautomaticMaxTokens = 40\n")
    (home.workspace / ".vscode").mkdir()
    (home.workspace / ".vscode" / "settings.json").write_text(json.dumps(OF_WORKSPACE))
    result = home.folder / "seen.json"
    with running_code_server(machine, home, home.environment(home.folder / "bin")) as url:
        config = {
            **{name: str(path) for name, path in logs.items()},
            "log": str(logs["workspaceLog"]),
            "modules": str(INSTALLED),
            "chromium": machine.chromium,
            "url": f"{url}/?folder={home.workspace}",
            "startMs": 60_000,
            "viewport": {"width": 1000, "height": 460},
            "clip": {"x": 0, "y": 0, "width": 1000, "height": 460},
            "file": str(file),
            "fileName": file.name,
            "userSettings": str(home.user_settings),
            "pictures": str(home.folder),
            "result": str(result),
        }
        config_file = home.folder / "config.json"
        config_file.write_text(json.dumps(config))
        subprocess.run([machine.node, SCENARIO, config_file], check=True, timeout=300)
    if not PICTURE.exists():  # remove it to have it made anew
        shutil.copy(home.folder / "ghost-text.png", PICTURE)
    content: Seen = json.loads(result.read_text())
    assert "error" not in content, f"{content['error']}\n{statuses(content['statuses'])}\nmore in {home.folder}"
    return content


def statuses(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["text"] for entry in entries]


def test_the_status_bar_goes_from_loading_to_ready(seen: Seen) -> None:
    before = statuses(seen["statusesBeforeTrust"])
    assert before[0].startswith("loading")
    assert before[-1] == "zap smollm2-135m"


def test_nothing_of_an_untrusted_workspace_is_run_or_believed(seen: Seen) -> None:
    assert seen["recordedBeforeTrust"]["workspace"] == []
    sent = settings_sent(seen["recordedBeforeTrust"]["path"])
    assert sent == {"trustWorkspace": False, "latency": {"automaticTimeoutMs": 20_000}, "generation": {"seed": 7}}


def test_a_workspace_that_becomes_trusted_brings_its_own_server_and_settings(seen: Seen) -> None:
    assert settings_sent(seen["recordedAfterTrust"])["trustWorkspace"] is True


def test_only_settings_that_were_made_are_sent(seen: Seen) -> None:
    sent = settings_sent(seen["recordedAfterTrust"])
    assert sent == {
        "trustWorkspace": True,
        "latency": {"automaticTimeoutMs": 20_000},
        "generation": {"seed": 7},
        "cache": {"prefixCacheMb": 123},
    }


def test_ghost_text_is_the_servers_suggestion(seen: Seen) -> None:
    assert seen["ghost"].startswith("dump(config, file)")


def test_the_hover_tells_the_latency_of_the_last_request(seen: Seen) -> None:
    assert "smollm2-135m is ready" in seen["hover"]
    assert "Last request:" in seen["hover"]


def test_tab_accepts_exactly_that_text(seen: Seen) -> None:
    assert seen["afterTab"] == f"{TEXT}json.{seen['ghost']}"


def test_a_word_and_the_rest_of_the_line_are_accepted_on_their_own(seen: Seen) -> None:
    suggestion = seen["partial"]
    word = seen["afterWord"].rpartition("json.")[2]
    assert word
    assert word != suggestion
    assert suggestion.startswith(word)
    assert suggestion == word + seen["restAfterWord"]
    assert seen["afterLine"] == f"{TEXT}json.{suggestion.splitlines()[0]}"


def test_pause_stops_suggestions_and_says_so(seen: Seen) -> None:
    assert seen["ghostWhilePaused"] == ""
    assert all(answer["items"] == [] for answer in seen["answersWhilePaused"])
    assert "paused" in seen["whyNothing"]
    assert seen["ghostAfterResume"]


def test_a_file_type_can_be_paused(seen: Seen) -> None:
    assert seen["userSettings"]["completionServer.disabledLanguages"] == ["python"]
    assert statuses(seen["statuses"])[-2:] == ["circle-slash smollm2-135m", "zap smollm2-135m"]


def test_a_restart_and_a_death_both_end_in_a_server_that_is_ready(seen: Seen) -> None:
    later = statuses(seen["statusesAtTheEnd"])[len(statuses(seen["statuses"])) :]
    assert later.count("zap smollm2-135m") == 2
    assert later[-1] == "zap smollm2-135m"


def test_an_error_is_shown_with_its_reason_and_goes_away_with_it(seen: Seen) -> None:
    assert "/nowhere/model.gguf" in seen["hoverOfError"]
    assert "Click for what can be done" in seen["hoverOfError"]


def settings_sent(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The section that the server was given first, by either way; both have to say the same."""
    (options,) = [entry["options"] for entry in entries if entry.get("method") == "initialize"]
    pulled: list[Any] = next(entry["settings"] for entry in entries if "settings" in entry)
    assert pulled == [options]
    return dict(options)

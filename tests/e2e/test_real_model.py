"""The real server over stdio with the model in the box: what a user gets, and the limits it is given within."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.raw_client import URI, RawClient, insertion

pytestmark = [pytest.mark.default_model, pytest.mark.timeout(600)]

SERVE = (sys.executable, "-m", "completion_server", "serve")
LONG_FILE = "".join(f"def function_{n}(value):\n    return value * {n} + {n % 7}\n\n\n" for n in range(300))
PATIENT = {"latency": {"automaticTimeoutMs": 60_000, "invokedTimeoutMs": 60_000}}
SAMPLE = '''\
import json


def read_config(path):
    """Read a JSON file and return its content."""
    with open(path) as file:
        return json.load(file)


def write_config(path, config):
    """Write the config as JSON."""
    with open(path, "w") as file:
        json.'''


def start(start_client: Callable[..., RawClient], options: dict[str, Any]) -> RawClient:
    client = start_client(*SERVE).ready(options=options)
    state = client.status()
    assert state["state"] == "ready", state
    return client


@pytest.fixture(scope="module")
def patient() -> Any:
    """One server that has time, for the tests about what it says."""
    with RawClient(*SERVE) as client:
        client.ready(options=PATIENT)
        assert client.status()["state"] == "ready", client.status()
        yield client


def test_a_real_completion_of_a_real_model(patient: RawClient) -> None:
    uri = "file:///work/config.py"
    patient.open(SAMPLE + "\n", uri=uri)
    (item,) = patient.reply(patient.ask(12, 13, uri=uri))["result"]["items"]
    assert item["insertText"] == "dump(config, file)"
    place = {"line": 12, "character": 13}
    assert item["range"] == {"start": place, "end": place}
    trace = patient.command("explain", uri)
    assert trace["finish_reason"] == "stop"
    assert trace["num_prompt_tokens"] > 50


def test_an_opened_document_has_been_read_before_the_first_request(
    start_client: Callable[..., RawClient],
) -> None:
    """Where the prompt begins with the text before the cursor; else the place has to be known."""
    client = start(start_client, {**PATIENT, "model": {"fimFormat": "prefix-only"}})
    uri = "file:///work/opened.py"
    client.open(SAMPLE + "\n" + SAMPLE.replace("config", "state") + "\n", uri=uri)
    while not client.status()["model"]["prefix_cache_sequences"]:
        pass
    client.reply(client.ask(12, 13, uri=uri))  # in the middle of it
    trace = client.command("explain", uri)
    assert trace["num_cached_tokens"] >= 0.9 * trace["num_prompt_tokens"] > 50


def test_typing_costs_only_what_is_typed(patient: RawClient) -> None:
    uri = "file:///work/typing.py"
    text = SAMPLE + "\n"
    patient.open(text, uri=uri)
    patient.reply(patient.ask(12, 13, uri=uri))
    for index, char in enumerate("loads(x"):  # not what was suggested
        patient.change(2 + index, insertion(12, 13 + index, char), uri=uri)
        patient.reply(patient.ask(12, 14 + index, uri=uri))
        trace = patient.command("explain", uri)
        if "from_completion_cache" not in trace:
            assert trace["num_prefilled_tokens"] <= 16
            assert trace["num_cached_tokens"] >= 0.8 * trace["num_prompt_tokens"]


def test_invoked_gives_several_distinct_items(patient: RawClient) -> None:
    uri = "file:///work/invoked.py"
    patient.open(SAMPLE + "\n", uri=uri)
    items = patient.items(patient.ask(12, 13, uri=uri, trigger=1))
    assert 2 <= len(items) <= 3
    assert len(set(items)) == len(items)


def test_200_requests_without_waiting_are_each_answered_once(patient: RawClient) -> None:
    uri = "file:///work/burst.py"
    patient.open(SAMPLE + "\n", uri=uri)
    ids = []
    for index in range(100):
        patient.change(2 + index, insertion(12, 13 + index, "x"), uri=uri)
        ids += [patient.ask(12, 14 + index, uri=uri), patient.ask(0, 0, uri=uri)]
    for request_id in ids:
        assert "result" in patient.reply(request_id)
    patient.sync()
    assert all(len(patient.replies[request_id]) == 1 for request_id in ids)
    assert patient.status()["num_pending_jobs"] == 0


def test_a_deadline_holds_on_a_cold_prompt_of_4000_tokens(start_client: Callable[..., RawClient]) -> None:
    """The answer comes with the budget plus at most one forward pass; the prompt is read when there is time."""
    options = {"context": {"maxPromptTokens": 4096}, "latency": {"automaticTimeoutMs": 200}}
    client = start(start_client, options)
    client.open(LONG_FILE)
    num_lines = LONG_FILE.count("\n")
    client.items(client.ask(num_lines, 0))
    trace = client.command("explain", URI)
    # There is no time for all of it: what stands next to the cursor comes first.
    assert trace["has_short_prompt"]
    assert trace["num_prompt_tokens"] <= 128
    # One forward pass and what a busy machine adds to handing over; far from the seconds that the prompt takes.
    assert trace["total_ms"] < 200 + trace["longest_pass_ms"] + 2000
    # The rest is read while nobody asks.
    while client.status()["model"]["totals"]["num_prefilled_tokens"] < 2500:
        pass
    client.change(2, insertion(num_lines, 0, "x"))
    client.items(client.ask(num_lines, 1))
    trace = client.command("explain", URI)
    assert "has_short_prompt" not in trace
    assert trace["num_cached_tokens"] > 2400
    assert trace["num_prefilled_tokens"] < 64


def test_cancel_during_a_long_prefill_is_answered_at_once(start_client: Callable[..., RawClient]) -> None:
    client = start(start_client, {**PATIENT, "context": {"maxPromptTokens": 4096}})
    client.open(LONG_FILE)
    num_lines = LONG_FILE.count("\n")
    request_id = client.ask(num_lines, 0)
    while not client.status()["running"]:
        pass
    client.notify("$/cancelRequest", {"id": request_id})
    assert client.error_code(request_id) == -32800
    while client.status()["running"]:
        pass
    # Cut off in the middle of the prompt, within a chunk: so there is much left to do for the next request.
    client.items(client.ask(num_lines, 0))
    trace = client.command("explain", URI)
    assert trace["num_prefilled_tokens"] > 0.1 * trace["num_prompt_tokens"]
    assert trace["num_cached_tokens"] + trace["num_prefilled_tokens"] == trace["num_prompt_tokens"]

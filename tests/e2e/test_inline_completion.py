from __future__ import annotations

import random

import pytest

from tests.support.raw_client import URI, RawClient, frame, inline_params, insertion

COMPLETION = ["fake_completion()"]


def test_automatic_gives_one_item_and_invoked_up_to_three(client: RawClient) -> None:
    client.open("MANY\n")
    assert client.items(client.ask(0, 4, trigger=2)) == ["one()"]
    assert client.items(client.ask(0, 4, trigger=1)) == ["one()", "two()", "three()"]


def test_every_item_carries_a_range(client: RawClient) -> None:
    client.open("MANY 😋\n")
    for item in client.reply(client.ask(0, 7, trigger=1))["result"]["items"]:
        place = {"line": 0, "character": 7}
        assert item["range"] == {"start": place, "end": place}


def test_a_range_reaches_over_the_bracket_that_an_item_writes_again(client: RawClient) -> None:
    client.open("'😋'; PAIR = f()\n")
    (item,) = client.reply(client.ask(0, 15))["result"]["items"]
    assert item["insertText"] == "a).b()"
    places = [(item["range"][end]["line"], item["range"][end]["character"]) for end in ("start", "end")]
    assert places == [(0, 15), (0, 16)]  # UTF-16 units


def test_items_extend_the_selected_completion(client: RawClient) -> None:
    client.open("foo.ba\n")
    range_ = {"start": {"line": 0, "character": 4}, "end": {"line": 0, "character": 6}}
    params = inline_params(0, 6, trigger=1)
    params["context"]["selectedCompletionInfo"] = {"range": range_, "text": "bar"}
    (item,) = client.call("textDocument/inlineCompletion", params)["items"]
    assert item.pop("command")["command"] == "completionServer.accepted"
    assert item == {"insertText": "bar_extended", "range": range_}


@pytest.mark.parametrize("request_id", ["text", 0, -5, 2**40, "1"])
def test_ids_come_back_as_they_were(client: RawClient, request_id: object) -> None:
    client.open("x")
    assert client.items(client.ask(request_id=request_id)) == COMPLETION


def test_unopened_documents_give_nothing_and_are_not_read_from_disk(client: RawClient) -> None:
    assert client.items(client.ask(uri="file:///etc/hostname")) == []
    assert client.items(client.ask(uri="not a uri")) == []
    assert "not open" in client.command("explain", "not a uri")["reason"]
    client.open("x")
    client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    assert client.items(client.ask()) == []


def test_places_past_the_end_are_clamped(client: RawClient) -> None:
    client.open("ECHOab")
    assert client.items(client.ask(0, 99)) == ["baOHCE"]
    assert client.items(client.ask(99, 0)) == ["baOHCE"]


def test_an_error_in_the_service_is_an_empty_list_and_no_popup(client: RawClient) -> None:
    client.open("BOOM\nx")
    for _ in range(3):
        assert client.items(client.ask()) == []
    assert client.command("explain")["finish_reason"] == "error"
    assert client.items(client.ask(1)) == COMPLETION
    assert client.leave() == 0
    assert [n for n in client.notifications if n["method"] == "window/showMessage"] == []
    assert client.stderr.count("Traceback") == 1, "logged once"
    assert "the scripted failure" in client.stderr


def test_cancel_of_a_running_request_is_answered_at_once(client: RawClient) -> None:
    client.open("WAIT\nx")
    request = client.ask()
    client.wait_until_running()
    client.notify("$/cancelRequest", {"id": request})
    assert client.error_code(request) == -32800
    model = client.wait_until_idle()["model"]
    assert model["cancelled"] == 1
    assert client.command("explain")["finish_reason"] == "cancelled"
    assert client.items(client.ask(1)) == COMPLETION
    assert client.leave() == 0


def test_cancel_with_a_string_id_in_the_same_write_as_the_request(client: RawClient) -> None:
    client.open("WAIT")
    request = client.ask(request_id="abc")
    client.notify("$/cancelRequest", {"id": "abc"})
    assert client.error_code(request) == -32800
    client.wait_until_idle()
    assert client.leave() == 0


def test_cancel_of_what_was_answered_or_never_asked_is_ignored(client: RawClient) -> None:
    client.open("x")
    request = client.ask()
    client.items(request)
    for request_id in (request, "never", 77, None, 1.5, {}):
        client.notify("$/cancelRequest", {"id": request_id})
    assert client.items(client.ask()) == COMPLETION
    assert client.leave() == 0


def test_a_newer_request_supersedes_the_older_of_its_document(client: RawClient) -> None:
    client.open("WAIT\nx")
    older = client.ask(0)
    client.wait_until_running()
    newer = client.ask(1)
    assert client.items(older) == []
    assert client.items(newer) == COMPLETION
    assert client.status()["model"]["cancelled"] == 1


def test_a_request_of_another_document_waits_its_turn(client: RawClient) -> None:
    client.open("WAIT")
    client.open("x", "file:///other.py")
    running = client.ask(trigger=1)
    client.wait_until_running()
    waiting = client.ask(uri="file:///other.py", trigger=1)
    assert client.status()["num_pending_jobs"] == 1
    client.notify("$/cancelRequest", {"id": running})
    assert client.items(waiting) == COMPLETION


def test_a_waiting_request_is_answered_at_its_deadline(client: RawClient) -> None:
    client.open("WAIT")
    client.open("x", "file:///other.py")
    client.ask(trigger=1)
    client.wait_until_running()
    assert client.items(client.ask(uri="file:///other.py")) == []
    assert client.command("explain", "file:///other.py")["finish_reason"] == "deadline"
    assert client.status()["running"] == URI


@pytest.mark.parametrize("kind", ["edit", "close", "reopen", "pause", "disable"])
def test_what_makes_a_request_pointless_answers_it_with_nothing(client: RawClient, kind: str) -> None:
    client.open("WAIT\nx")
    request = client.ask()
    client.wait_until_running()
    if kind == "edit":
        client.change(2, insertion(1, 0, "y"))
    elif kind == "close":
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    elif kind == "reopen":
        client.open("x")
    elif kind == "pause":
        client.command("pause")
    else:
        client.notify("workspace/didChangeConfiguration", {"settings": {"enabled": False}})
    assert client.items(request) == []
    assert client.wait_until_idle()["model"]["cancelled"] == 1


def test_a_change_without_content_does_not_withdraw_anything(client: RawClient) -> None:
    client.open("WAIT")
    request = client.ask()
    client.wait_until_running()
    client.change(2)
    assert client.status()["running"] == URI
    client.notify("$/cancelRequest", {"id": request})
    assert client.error_code(request) == -32800


def test_a_request_sees_the_text_that_was_there_when_it_was_sent(client: RawClient) -> None:
    """The snapshot is taken before the next message is looked at, also when all arrive in one read."""
    client.open("")
    messages: list[dict[str, object]] = []
    expected = {}
    for number in range(2, 60):
        text = f"ECHO{number}"
        document = {"uri": URI, "version": number}
        change = {"textDocument": document, "contentChanges": [{"text": text}]}
        messages.append({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change})
        params = inline_params(0, len(text))
        messages.append(
            {"jsonrpc": "2.0", "id": number, "method": "textDocument/inlineCompletion", "params": params}
        )
        expected[number] = [text[::-1]]
    client.send_bytes(b"".join(frame(message) for message in messages))
    answers = {number: client.items(number) for number in expected}
    assert answers[59] == expected[59]
    assert all(answers[number] in ([], expected[number]) for number in expected)


def test_a_deadline_counts_from_arrival_and_gives_the_partial_text(client: RawClient) -> None:
    client.open("LIMIT\nx")
    assert client.items(client.ask()) == ["partial"]
    trace = client.command("explain")
    assert trace["finish_reason"] == "deadline"
    assert trace["total_ms"] >= 300


def test_idle_work_follows_a_deadline_and_makes_way(client: RawClient) -> None:
    client.open("LIMIT\nLIMIT WAIT FOREVER\nx")
    client.items(client.ask(0))
    while client.status()["model"]["warmed"] == 0:
        pass
    assert client.items(client.ask(2)) == COMPLETION


def test_200_requests_without_waiting_are_each_answered_once(client: RawClient) -> None:
    uris = [f"file:///{number}.py" for number in range(20)]
    for uri in uris:
        client.open("MANY\nBOOM\nWAIT\nx\n", uri)
    generator = random.Random(4)
    requests = []
    for number in range(200):
        uri = uris[number % 20]
        requests.append(client.ask(number % 4, uri=uri, trigger=generator.choice([1, 2]), request_id=f"r{number}"))
        if number % 7 == 0:
            client.notify("$/cancelRequest", {"id": generator.choice(requests)})
        if number % 5 == 0:
            client.change(number + 2, insertion(0, 0, "y"), uri=uri)
    client.call("workspace/executeCommand", {"command": "completionServer.pause"})
    for request in requests:
        reply = client.reply(request)
        assert "result" in reply or reply["error"]["code"] == -32800
    status = client.wait_until_idle()
    assert status["num_unanswered_requests"] <= 1, "the status request itself"
    assert status["model"]["clashes"] == 0
    assert client.leave() == 0, "checks also that nothing was answered twice"


def test_200_requests_for_one_document_end_with_the_last(client: RawClient) -> None:
    client.open("WAIT\nx")
    requests = [client.ask(0) for _ in range(199)]
    last = client.ask(1)
    assert client.items(last) == COMPLETION
    assert all(client.items(request) == [] for request in requests)
    assert client.leave() == 0


@pytest.mark.parametrize(
    "context",
    [None, {}, {"triggerKind": 0}, {"triggerKind": None}, {"triggerKind": 0, "selectedCompletionInfo": None}],
)
def test_no_context_and_the_drafts_kind_mean_on_request(client: RawClient, context: object) -> None:
    client.open("x")
    params = {**inline_params(), "context": context}
    assert client.items(client.start("textDocument/inlineCompletion", params)) == COMPLETION
    del params["context"]
    assert client.items(client.start("textDocument/inlineCompletion", params)) == COMPLETION
    assert client.command("explain")["trigger"] == "invoked"


@pytest.mark.parametrize(
    "params",
    [
        {**inline_params(), "context": {"triggerKind": "2"}},
        {**inline_params(), "context": {"triggerKind": 3}},
        {**inline_params(), "context": {"triggerKind": -1}},
        {**inline_params(), "context": {"triggerKind": 0.5}},
        {**inline_params(), "context": {"triggerKind": False}},
        {**inline_params(), "context": {"triggerKind": [0]}},
        {**inline_params(), "context": {"triggerKind": 0, "selectedCompletionInfo": 1}},
        {**inline_params(), "context": []},
        {**inline_params(), "context": "Invoke"},
        {**inline_params(), "context": 0},
        {**inline_params(), "position": {"line": -1, "character": 0}},
        {**inline_params(), "position": {"line": 0}},
        {**inline_params(), "position": None},
        {**inline_params(), "textDocument": None},
        {},
        [],
        None,
        "text",
        3,
    ],
)
def test_undecodable_params_are_answered_32602(client: RawClient, params: object) -> None:
    """pygls bug 3: no reply at all, and a popup instead."""
    client.open("x")
    request = client.start("textDocument/inlineCompletion", params)
    assert client.error_code(request) == -32602
    assert client.items(client.ask()) == COMPLETION
    assert client.leave() == 0
    assert [n for n in client.notifications if n["method"] == "window/showMessage"] == []


def test_params_may_hold_a_key_named_jsonrpc(client: RawClient) -> None:
    """pygls bug 3: any nested object with such a key was taken for a message of its own."""
    client.open("x")
    params = {**inline_params(), "extra": {"jsonrpc": "2.0", "method": "exit", "id": 3}}
    assert client.call("textDocument/inlineCompletion", params)["items"]


def test_disabled_languages_give_nothing(client: RawClient) -> None:
    client.open("x", language="markdown")
    client.open("x", "file:///other.py")
    settings = {"completionServer": {"disabledLanguages": ["markdown"]}}
    client.notify("workspace/didChangeConfiguration", {"settings": settings})
    assert client.items(client.ask()) == []
    assert client.items(client.ask(uri="file:///other.py")) == COMPLETION


def test_the_service_sees_the_other_open_documents(raw: RawClient) -> None:
    raw.ready(rootUri="file:///work")
    raw.open("x")
    raw.open("y", "file:///other.py")
    raw.items(raw.ask())
    trace = raw.command("explain")
    assert (trace["others"], trace["root"]) == (1, "file:///work")

"""Whose words the addresses in an editor's settings are."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types

from completion_server.config import remote_api_key
from completion_server.lsp.configuration import Configuration, sends_users_addresses

MINE = {"remote": {"url": "http://mine"}, "log": {"otlpEndpoint": "http://mine:4318"}}
EVIL_OPTIONS: list[Any] = [
    {"remote": {"url": "http://evil"}},
    {"remote": {"tokenizer": "/evil"}},
    {"remote": {"dialect": "ollama"}},
    {"remote": {"model": "evil"}},
    {"remote": {"fim_format": "evil"}},
    {"remote": {"fimFormat": "evil"}},
    {"log": {"otlpEndpoint": "http://evil"}},
    {"log": {"otlp_endpoint": "http://evil"}},
    {"log": {"otlpEndpoint": "http://evil", "traces": True}, "remote": {"url": "http://evil"}},
    {"remote": "http://evil"},
    {"remote": ["http://evil"]},
]


def configuration(first: object, later: object, *, has_users_addresses: bool = False) -> Configuration:
    found = Configuration()
    found.initialization_options, found.editor_options = first, later
    found.has_users_addresses = has_users_addresses
    return found


@pytest.mark.parametrize("later", EVIL_OPTIONS, ids=range(len(EVIL_OPTIONS)))
@pytest.mark.parametrize("first", [MINE, None, {}])
def test_addresses_that_a_workspace_may_have_set_are_not_used(first: Any, later: Any) -> None:
    resolved = configuration(first, {**later, "generation": {"seed": 3}}).resolve()
    plain = configuration(first, None).resolve()
    assert resolved.settings.remote == plain.settings.remote
    assert resolved.settings.log.otlp_endpoint == plain.settings.log.otlp_endpoint
    assert resolved.settings.generation.seed == 3
    (warning,) = resolved.warnings
    assert "initializationOptions" in warning
    assert "evil" not in warning


def test_a_client_that_sends_the_same_again_hears_nothing() -> None:
    resolved = configuration(MINE, {**MINE, "enabled": False}).resolve()
    assert (resolved.settings.remote.url, resolved.settings.enabled, resolved.warnings) == (
        "http://mine",
        False,
        (),
    )


def test_a_client_that_keeps_them_apart_may_change_addresses() -> None:
    later = {"remote": {"url": "http://other"}}
    resolved = configuration(MINE, later, has_users_addresses=True).resolve()
    assert (resolved.settings.remote.url, resolved.warnings) == ("http://other", ())


def test_the_key_goes_to_an_address_of_the_users_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_API_KEY", "secret")
    first = {"remote": {"url": "http://of-some-client"}}
    resolved = configuration(first, None).resolve()
    assert remote_api_key(resolved.settings.remote.url) is None
    (warning,) = resolved.warnings
    assert "COMPLETION_SERVER_REMOTE_URL" in warning
    assert "secret" not in warning
    own = configuration({"remote": {"url": "http://of-the-users-own"}}, None, has_users_addresses=True).resolve()
    assert (remote_api_key(own.settings.remote.url), own.warnings) == ("secret", ())
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_URL", "http://of-the-environment")
    named = configuration(first, None).resolve()
    assert (remote_api_key(named.settings.remote.url), named.warnings) == ("secret", ())
    assert remote_api_key("http://of-the-environment.evil") is None


@pytest.mark.parametrize(
    ("experimental", "is_declared"),
    [
        ({"completionServer": {"userAddresses": True}}, True),
        ({"completionServer": {"userAddresses": 1}}, False),
        ({"completionServer": {"userAddresses": "true"}}, False),
        ({"completionServer": True}, False),
        ({"userAddresses": True}, False),
        ([], False),
        (None, False),
    ],
)
def test_the_clients_word_for_it(experimental: Any, is_declared: bool) -> None:
    capabilities = types.ClientCapabilities(experimental=experimental)
    assert sends_users_addresses(capabilities) is is_declared

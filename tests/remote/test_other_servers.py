"""Model servers of others, with the model that writes the alphabet: the protocol, exactly.

Opt-in: ``COMPLETION_SERVER_TEST_SERVERS=/path/to/python pytest -m remote_servers``, the interpreter (or several,
separated as in ``PATH``) of an environment that has one or more of them. vLLM and llama-cpp-python take minutes to
install, so nobody needs to have them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from completion_server.engine.stopping import LineEnd
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.other_servers import SERVER_KINDS, OtherServer, started_server
from tests.support.remote_calls import connected
from tests.support.tiny_gguf import alphabet_after, write_alphabet_directory, write_alphabet_gguf

pytestmark = [pytest.mark.remote_servers, pytest.mark.timeout(900)]

Server = tuple[OtherServer, dict[str, str]]


@pytest.fixture(scope="module", params=SERVER_KINDS, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, and how it is asked."""
    folder = tmp_path_factory.mktemp("model")
    paths = {"directory": write_alphabet_directory(folder), "gguf": write_alphabet_gguf(folder / "alphabet.gguf")}
    with started_server(request.param, paths, folder) as started:
        options = started.kind.remote_options(str(paths["directory"]), "starcoder2")
        yield started, {**options, "fim_format": "starcoder2"}


def test_the_probe_and_an_answer(server: Server) -> None:
    started, options = server
    with connected(started.url, **options) as remote:
        assert remote.engine.status()["dialect"] == started.kind.dialect
        assert remote.text("x = ˇ\ny = 2\n", rules=[LineEnd()], max_new_tokens=40) == alphabet_after(" ", 26)
        result = remote.ask("x = ˇ\n", max_new_tokens=5)
        assert result.generations[0].text == alphabet_after(" ", 5)


def test_special_strings_in_the_text_are_not_sent_as_text(server: Server) -> None:
    started, options = server
    with connected(started.url, **options) as remote:
        result = remote.ask("x = '<fim_middle>ˇ'\n")
        assert (result.finish_reason is FinishReason.SKIPPED) == (not started.kind.has_ids)


def test_a_cancel_and_a_deadline_end_the_stream(server: Server) -> None:
    started, options = server
    token = CancellationToken()

    class Cancelling(LineEnd):
        def find_cut(self, text: str) -> int | None:
            threading.Thread(target=token.cancel).start()
            return None

    with connected(started.url, **options) as remote:
        result = remote.ask("x = ˇ\n", rules=[Cancelling()], cancellation=token, max_new_tokens=1500)
        assert result.finish_reason is FinishReason.CANCELLED
        result = remote.ask("x = ˇ\n", deadline=Deadline.after_ms(400), max_new_tokens=1500)
        assert result.finish_reason is FinishReason.DEADLINE
        # The server is free again: a short question is answered well within the time of the long ones.
        assert remote.text("x = ˇ\n", max_new_tokens=3) == alphabet_after(" ", 3)

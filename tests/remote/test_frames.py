from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.errors import RemoteError
from completion_server.remote.frames import FrameParser, LineSplitter, NdjsonParser, SseParser, error_message

texts = st.text(max_size=20)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    return [*pieces, stream]


def parsed(parser: FrameParser, pieces: list[bytes]) -> list[Any]:
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.finish()]


@given(st.lists(texts, max_size=5), line_ends, st.lists(st.integers(0, 9), max_size=60), st.booleans())
def test_sse_events_survive_any_cutting(contents: list[str], end: bytes, cuts: list[int], escapes: bool) -> None:
    events = [{"text": content} for content in contents]
    stream = b": keep-alive" + end + end
    for event in events:
        body = json.dumps(event, ensure_ascii=escapes).encode("utf-8")
        stream += b"event: x" + end + b"data: " + body + end + end + b":" + end + end
    assert parsed(SseParser(), pieces_of(stream, cuts)) == events


@given(st.lists(texts, max_size=5), st.lists(st.integers(0, 9), max_size=60), st.booleans())
def test_ndjson_events_survive_any_cutting(contents: list[str], cuts: list[int], ends: bool) -> None:
    events = [{"response": content} for content in contents]
    stream = b"\n".join(json.dumps(event, ensure_ascii=False).encode() for event in events)
    assert parsed(NdjsonParser(), pieces_of(stream + b"\n" * ends, cuts)) == events


@given(st.lists(st.sampled_from([b"", b"a", b"\r", b"\n", b"\r\n", b"b\x0b\x85\xe2\x80\xa8"])))
def test_lines_are_those_of_the_whole(pieces: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    rest = splitter.finish()
    assert lines + [rest] * bool(rest) == b"".join(pieces).splitlines()


def test_half_a_character_waits_for_its_other_half() -> None:
    parser = SseParser()
    stream = 'data: {"text": "é日"}\n\n'.encode()
    middle = stream.index("日".encode()) + 1
    assert list(parser.feed(stream[:middle])) == []
    assert list(parser.feed(stream[middle:])) == [{"text": "é日"}]


def test_done_ends_the_stream_whatever_follows() -> None:
    parser = SseParser()
    assert list(parser.feed(b'data: [DONE]\n\ndata: {"text": "late"}\n\n')) == []
    assert parser.is_done


def test_an_event_without_its_blank_line_counts_at_the_end() -> None:
    parser = SseParser()
    assert list(parser.feed(b'data: {"a": 1}')) == []
    assert list(parser.finish()) == [{"a": 1}]


def test_data_over_several_lines_is_one_event() -> None:
    assert list(SseParser().feed(b'data: {"a":\ndata: 1}\n\n')) == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"error": {"message": "too long", "type": "x"}}, "too long"),
        ({"error": "model not found"}, "model not found"),
        ({"detail": "prompt must be a string."}, "prompt must be a string."),
        ({"detail": [{"loc": ["prompt"], "msg": "bad", "input": "the user's text"}]}, "bad"),
        ({"object": "error", "message": "old vLLM", "code": 400}, "old vLLM"),
        ({"code": 501, "message": "bare", "type": "x"}, "bare"),
        ({"error": {}}, "no reason given"),
        ({"error": None, "response": "x"}, None),
        ({"choices": []}, None),
        ("text", None),
    ],
)
def test_errors_in_all_their_shapes(content: object, message: str | None) -> None:
    assert error_message(content) == message


def test_a_long_error_is_cut() -> None:
    message = error_message({"error": "x" * 1000})
    assert message is not None
    assert len(message) == 300


@pytest.mark.parametrize(
    "data",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b'data: {"error": "inside the stream"}\n\n',
        b'error: {"code": 500, "message": "a field of its own"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_event_is_an_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        list(SseParser().feed(data))


def test_a_line_without_an_end_is_given_up() -> None:
    with pytest.raises(RemoteError, match="without an end"):
        parsed(SseParser(), [b"x" * (1 << 20)] * 6)

from __future__ import annotations

import threading
from queue import SimpleQueue

from hypothesis import given
from hypothesis import strategies as st

from completion_server.lsp import stdio
from completion_server.lsp.stdio import ByteChannel, Connection, MessageReader

GUARD_SECONDS = 30


class Pieces:
    """A stream that comes in the given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]


def bodies(pieces: list[bytes]) -> tuple[list[bytes], list[str]]:
    problems: list[str] = []
    reader = MessageReader(Pieces(pieces).read, problems.append)
    found = []
    while (body := reader.next_body()) is not None:
        found.append(body)
    return found, problems


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 60), max_size=30))
def test_messages_survive_any_cutting(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    assert bodies([*pieces, stream]) == (messages, [])


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    bodies([data])


@given(st.binary(max_size=60).filter(lambda data: b"ontent" not in data.lower()))
def test_a_message_after_garbage_lines_is_found(data: bytes) -> None:
    found, problems = bodies([data + b"\r\n" + frame(b"{}")])
    assert (found, problems) == ([b"{}"], [])


def test_a_message_cut_off_by_the_end_is_dropped() -> None:
    assert bodies([frame(b"{}"), b"Content-Length: 10\r\n\r\n{}"]) == ([b"{}"], [])
    assert bodies([b"Content-Length: 10\r\n"]) == ([], [])


def test_a_message_over_the_limit_is_passed_over(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(stdio, "MAX_MESSAGE_BYTES", 10)
    found, problems = bodies([frame(b"x" * 100_000), frame(b"{}")])
    assert found == [b"{}"]
    assert len(problems) == 1


def test_garbage_without_line_ends_is_not_kept() -> None:
    found, _ = bodies([b"x" * 1_000_000, b"\r\n" + frame(b"{}")])
    assert found == [b"{}"]


def test_writes_keep_their_order_and_never_interleave_or_block() -> None:
    gate = threading.Event()
    written: list[bytes] = []

    def write(data: bytes) -> None:
        assert gate.wait(GUARD_SECONDS)
        written.append(data)

    closed: SimpleQueue[None] = SimpleQueue()
    connection = Connection(ByteChannel(Pieces([]).read, write, lambda: closed.put(None)))
    connection.start(lambda _body, _at: None, lambda _problem: None, lambda: None)
    expected = [b"%d" % number for number in range(100)]
    for data in expected:
        connection.write(data)
    gate.set()
    connection.close(GUARD_SECONDS)
    assert written == expected
    closed.get(timeout=GUARD_SECONDS)


def test_messages_arrive_in_order_with_growing_instants_and_then_the_end() -> None:
    got: SimpleQueue[tuple[bytes, float] | None] = SimpleQueue()
    stream = b"".join(frame(b"%d" % number) for number in range(50))
    connection = Connection(ByteChannel(Pieces([stream]).read, lambda _data: None, lambda: None))
    connection.start(lambda body, at: got.put((body, at)), lambda _problem: None, lambda: got.put(None))
    seen = []
    while (entry := got.get(timeout=GUARD_SECONDS)) is not None:
        seen.append(entry)
    assert [body for body, _ in seen] == [b"%d" % number for number in range(50)]
    assert [at for _, at in seen] == sorted(at for _, at in seen)
    connection.close()


def test_a_broken_pipe_ends_the_connection() -> None:
    closed: SimpleQueue[None] = SimpleQueue()
    gate = threading.Event()

    def write(_data: bytes) -> None:
        raise BrokenPipeError

    def read(_size: int) -> bytes:
        gate.wait(GUARD_SECONDS)
        return b""

    connection = Connection(ByteChannel(read, write, lambda: None))
    connection.start(lambda _body, _at: None, lambda _problem: None, lambda: closed.put(None))
    connection.write(b"x")
    closed.get(timeout=GUARD_SECONDS)
    gate.set()
    connection.close()

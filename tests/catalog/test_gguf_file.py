"""The reader believes nothing: damaged and hostile files end in one kind of error, in little memory."""

from __future__ import annotations

import contextlib
import struct
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from completion_server.catalog.gguf_convert import convert_gguf
from completion_server.catalog.gguf_file import read_gguf
from completion_server.errors import ModelError, ModelFormatError
from tests.catalog.gguf_samples import write_tiny_llama


@pytest.fixture(scope="module")
def tiny_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_tiny_llama(path)
    return path.read_bytes()


def test_reads_what_the_reference_writer_wrote(tmp_path: Path) -> None:
    weights = write_tiny_llama(tmp_path / "tiny.gguf")
    gguf = read_gguf(tmp_path / "tiny.gguf")
    assert gguf.string("general.architecture") == "llama"
    assert gguf.strings("tokenizer.ggml.merges")[0] == "d e"
    assert len(gguf.tensors) == len(weights)
    assert gguf.tensors["blk.0.ffn_up.weight"].shape == weights["model.layers.0.mlp.up_proj.weight"].shape


def _header(version: int = 3, num_tensors: int = 0, num_key_values: int = 0, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, num_tensors, num_key_values)


def _key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


HUGE = 1 << 62
HOSTILE = {
    "empty": b"",
    "wrong magic": _header(magic=b"GGML"),
    "old version": _header(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "huge tensor count": _header(num_tensors=HUGE),
    "huge metadata count": _header(num_key_values=HUGE),
    "huge key": _header(num_key_values=1) + struct.pack("<Q", HUGE) + bytes(64),
    "huge string": _header(num_key_values=1) + _key("k", 8, struct.pack("<Q", HUGE)) + bytes(64),
    "huge number array": _header(num_key_values=1) + _key("k", 9, struct.pack("<IQ", 4, HUGE)) + bytes(64),
    "huge string array": _header(num_key_values=1) + _key("k", 9, struct.pack("<IQ", 8, HUGE)) + bytes(64),
    "array of arrays": _header(num_key_values=1) + _key("k", 9, struct.pack("<IQ", 9, 1)) + bytes(64),
    "unknown value type": _header(num_key_values=1) + _key("k", 77, bytes(64)),
    "bad utf-8": _header(num_key_values=1) + _key("k", 8, struct.pack("<Q", 2) + b"\xff\xfe") + bytes(64),
    "key twice": _header(num_key_values=2) + _key("k", 0, b"\x01") * 2 + bytes(64),
    "tensor outside the file": _header(num_tensors=1)
    + struct.pack("<Q1sIQIQ", 1, b"t", 1, 8, 0, HUGE)
    + bytes(64),
    "tensor of huge shape": _header(num_tensors=1)
    + struct.pack("<Q1sI4QIQ", 1, b"t", 4, HUGE, HUGE, HUGE, HUGE, 0, 0)
    + bytes(64),
    "tensor of no size": _header(num_tensors=1) + struct.pack("<Q1sIQIQ", 1, b"t", 1, 0, 0, 0) + bytes(64),
    "tensor of unknown type": _header(num_tensors=1) + struct.pack("<Q1sIQIQ", 1, b"t", 1, 8, 999, 0) + bytes(64),
    "overlapping tensors": _header(num_tensors=2)
    + struct.pack("<Q1sIQIQ", 1, b"a", 1, 8, 0, 0)
    + struct.pack("<Q1sIQIQ", 1, b"b", 1, 8, 0, 0)
    + bytes(128),
    "alignment of zero": _header(num_key_values=1) + _key("general.alignment", 4, bytes(4)) + bytes(64),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused_in_little_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError, match=r"hostile\.gguf"):
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read"):
        read_gguf(tmp_path / "none.gguf")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncated_files_are_refused(tiny_bytes: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(tiny_bytes) - 1))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cut.gguf"
        path.write_bytes(tiny_bytes[:length])
        with pytest.raises(ModelFormatError):
            convert_gguf(path, Path(directory) / "model")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_altered_files_convert_or_are_refused(tiny_bytes: bytes, data: st.DataObject) -> None:
    content = bytearray(tiny_bytes)
    # Most of the file is weights, where a changed byte changes a number; aim at what describes them.
    positions = st.one_of(st.integers(0, 12_000), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(positions)
        patch = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8), st.just(bytes(8))))
        content[start : start + len(patch)] = patch
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "altered.gguf"
        path.write_bytes(content)
        with contextlib.suppress(ModelError):
            convert_gguf(path, Path(directory) / "model")

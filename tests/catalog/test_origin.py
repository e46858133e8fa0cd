"""A model made from one of the registry by training goes by that one's name for what was fitted for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.catalog.manifest import Manifest, write_manifest
from completion_server.catalog.origin import ORIGIN_NAME, origin_of, write_origin


def test_a_name_of_the_registry_is_its_own_origin() -> None:
    assert origin_of("SmolLM2-135M") == "smollm2-135m"
    for name in ("org/unknown", "~nobody-here/model", "", "a\0b"):
        assert origin_of(name) == name


def test_a_directory_says_what_it_was_made_from(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        assert origin_of(str(directory)) == str(directory)
    write_origin(first, "smollm2-135m")
    write_origin(second, str(first))
    assert origin_of(str(second)) == "smollm2-135m"


def test_the_directory_of_an_installed_model_is_that_model(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("smollm2-135m", {"kind": "package"}))
    assert origin_of(str(tmp_path)) == "smollm2-135m"


def test_made_from_something_unknown(tmp_path: Path) -> None:
    write_origin(tmp_path, "tiny")
    assert origin_of(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[1]", b'{"name": 3}', b'{"name": "../../etc"}', b"[" * 100_000, b'{"name":']
)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ORIGIN_NAME).write_bytes(content)
    assert origin_of(str(tmp_path)) == str(tmp_path)

"""Parsing ends: by the number of operations, the same in each run, not by the clock."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from completion_server import syntax
from completion_server.bounded_parse import children_of, descendants, parse_bounded, parse_file
from completion_server.context.imports import find_imports
from completion_server.context.outline import outline
from completion_server.syntax import HoledText, count_errors, node_types_at, parse, parser_for

_SLOW = "#include <a>\n"  # 9,000 lines of it as TypeScript took 22 s
_USUAL = {
    "python": "def $f($a, $b):\n    return [$a, {'$c': $b}]\n\n\n",
    "typescript": "export function $f($a: number): string {\n  return `${$b}`;\n}\n\n",
    "c": "static int $f(int $a, int $b) {\n    return $a + $c;\n}\n\n",
    "go": "func $f($a int) string {\n\treturn fmt.Sprint($b, $c)\n}\n\n",
    "rust": "fn $f($a: u8) -> Vec<u8> {\n    vec![$b; 3]\n}\n\n",
    "java": "class $f {\n    int $a(int $b) {\n        return $b + 1;\n    }\n}\n",
}


def _usual(language_id: str, num_chars: int) -> str:
    """Code with names that are as different as those of real code."""
    number, parts = 0, [""]
    for _ in range(num_chars // len(_USUAL[language_id]) + 1):
        piece = _USUAL[language_id]
        for name in ("$f", "$a", "$b", "$c"):
            number += 1
            word = hashlib.sha256(str(number).encode()).hexdigest()[: 3 + number % 9]
            piece = piece.replace(name, f"n_{word}")
        parts.append(piece)
    return "".join(parts)


@pytest.mark.parametrize("language_id", _USUAL)
@pytest.mark.parametrize("num_chars", [100, 10_000, 120_000])
def test_usual_code_is_parsed_whatever_its_length(language_id: str, num_chars: int) -> None:
    text = _usual(language_id, num_chars)
    tree = parse_bounded(parser_for(language_id), text.encode(), float("inf"))
    assert tree is not None
    assert parse_file(parser_for(language_id), text.encode()) is not None
    assert tree.root_node.end_byte == len(text)
    assert not tree.root_node.has_error


@pytest.mark.parametrize("language_id", ["python", "go", "typescript", "lua", "rust", "csharp", "kotlin"])
@pytest.mark.parametrize("written_in", _USUAL)
def test_code_of_another_language_is_parsed_too(language_id: str, written_in: str) -> None:
    text = _usual(written_in, 10_000)
    assert parse_bounded(parser_for(language_id), text.encode(), float("inf")) is not None


def _varied(num_lines: int) -> str:
    """As slow, but no two lines are the same."""
    names = (hashlib.sha256(str(number).encode()).hexdigest()[:12] for number in range(num_lines))
    return "".join(f"#include <{name}>\n" for name in names)


@pytest.mark.parametrize("num_lines", [900, 9_000])
def test_what_takes_too_long_is_refused_by_the_number_of_operations(num_lines: int) -> None:
    parser = parser_for("typescript")
    assert parse_bounded(parser, _varied(num_lines).encode(), float("inf")) is None
    # The parser does not go on with it.
    tree = parse_bounded(parser, b"let x = 1;\n", float("inf"))
    assert tree is not None
    assert not tree.root_node.has_error


@pytest.mark.parametrize(
    ("language_id", "text"),
    [
        ("typescript", _SLOW * 400),
        ("java", "a<b<" * 2_000),
        ("scala", "本" * 3_000),
        ("swift", "#" * 3_000),
        ("python", "f(" * 3_000),
        ("c", "{" * 3_000),
        ("go", "".join(f"a{number}[" for number in range(3_000))),
        ("java", "".join(f"a{number:x}<b{number % 7919:x}<" for number in range(3_000))),
        ("cpp", "".join(f"a{number}({{" for number in range(3_000))),
        ("rust", ")" * 3_000),
    ],
)
def test_what_no_file_looks_like_is_not_parsed(
    language_id: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Untouched:
        def parse(self, *_args: object, **_named: object) -> None:
            raise AssertionError("parsers cannot be stopped in such texts")

    assert parse_bounded(Untouched(), text.encode(), float("inf")) is None
    assert parse_file(Untouched(), text.encode()) is None
    assert parse(language_id, text[:10_000]) is None


def test_after_a_parse_that_could_not_be_stopped_the_language_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_SLOW_SECONDS", 0.0)
    monkeypatch.setattr(syntax, "_paused_until", {})
    assert parse("lua", "local x = 1\n") is not None
    monkeypatch.setattr(syntax, "_paused_until", {"lua": float("inf")})
    assert parse("lua", "local y = 1\n") is None
    assert parse("python", "y = 1\n") is not None


def test_what_takes_too_long_is_refused_by_processor_time() -> None:
    assert parse_bounded(parser_for("python"), _usual("python", 10_000).encode(), 0.0) is None


def test_a_text_that_was_refused_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _varied(500)
    assert parse("typescript", text) is None
    calls: list[object] = []
    monkeypatch.setattr("completion_server.syntax.parse_bounded", lambda *args: calls.append(args))
    for _ in range(3):
        assert parse("typescript", text) is None
        assert count_errors("typescript", text) is None
        assert node_types_at("typescript", text, 5) == ()
        assert HoledText("typescript", text[:300], text[300:]).num_errors is None
    assert calls == []


def test_counts_end_when_one_of_them_takes_too_long() -> None:
    holed = HoledText("typescript", "let x = 1;\n", "let y = 2;\n")
    assert holed.count_with("f();\n") == 0
    assert holed.count_with(_varied(500)) is None
    assert holed.count_with("g();\n") is None
    assert HoledText("typescript", "let x = 1;\n", "let y = 2;\n").num_errors is None


def test_the_text_of_nodes_can_be_read() -> None:
    tree = parse_bounded(parser_for("python"), (_usual("python", 9_000) + "x = 'ä'\n").encode(), float("inf"))
    last = tree.root_node.named_children[-1]
    assert last.text.decode() == "x = 'ä'"


def test_other_threads_go_on_while_a_text_is_parsed() -> None:
    is_done = threading.Event()
    gaps: list[float] = []

    def count() -> None:
        last = time.perf_counter()
        while not is_done.wait(0.001):
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(3):
            outline(_usual("typescript", 120_000), "typescript")
            outline(_varied(9_000), "typescript")
    finally:
        is_done.set()
        thread.join()
    assert len(gaps) > 10
    assert max(gaps) < 2.0  # 22 s before there was a limit


@pytest.mark.parametrize("language_id", ["typescript", "python", "go", "c"])
def test_a_file_that_takes_too_long_has_no_outline(language_id: str) -> None:
    assert outline(_varied(5_000), "typescript") == ()
    assert outline("(" * 120_000, language_id) == ()


@pytest.mark.parametrize(
    ("language_id", "text"),
    [
        ("typescript", "const x = " + "f(" * 5_000),
        ("typescript", "const x = " + "f(" * 5_000 + ")" * 5_000),
        ("python", "if x:\n " * 5_000),
        ("rust", "use a::{" + "b::{" * 3_000 + "c" + "}" * 3_001 + ";"),
        ("go", 'import "' + "a/" * 8_000 + 'b"\n'),
        ("python", "from " + "." * 15_000 + " import a\n"),
        ("c", "#if A\n" * 2_000 + '#include "a.h"\n'),
        ("java", "import " + "a." * 7_000 + "B;\n"),
    ],
)
def test_imports_of_deep_or_long_code_are_left_out(language_id: str, text: str) -> None:
    assert all(len(each.module) <= 300 for each in find_imports(text, language_id))


def test_an_import_of_very_many_names_keeps_some() -> None:
    names = ", ".join(f"n{number}" for number in range(1_500))
    (found,) = find_imports(f"from a import {names}\n", "python")
    assert (found.module, found.names[:2], len(found.names)) == ("a", ("n0", "n1"), 200)


def test_nodes_are_found_in_order_and_however_deep() -> None:
    text = "{" * 200 + "f(g(1)); h(2);" + "}" * 200
    tree = parse_bounded(parser_for("typescript"), text.encode(), float("inf"))
    calls = [each.text for each in descendants(tree.root_node, {"call_expression"})]
    assert calls == [b"f(g(1))", b"h(2)"]
    assert list(descendants(tree.root_node, {"call_expression"}, {"object"})) == []


def _statements(number: int) -> bytes:
    return b"".join(b"a%x;" % (each * 7919 % 65521) for each in range(number))


def test_the_children_of_a_node_that_has_very_many_are_not_made() -> None:
    tree = parse_bounded(parser_for("typescript"), _statements(20_000), float("inf"))
    assert tree.root_node.named_child_count == 20_000
    assert children_of(tree.root_node) == []
    few = parse_bounded(parser_for("typescript"), _statements(20), float("inf"))
    assert len(children_of(few.root_node)) == 20


@pytest.mark.parametrize("depth", [1, 10, 100, 240])
def test_the_types_around_a_place_are_read_from_the_root_down(depth: int) -> None:
    types = node_types_at("typescript", "(" * depth + "x" + ")" * depth, depth)
    assert types[0] == "identifier"
    assert types[-1] == "program"
    assert types.count("parenthesized_expression") == depth

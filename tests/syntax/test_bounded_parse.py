"""Parsing ends: by the number of operations, the same in each run, not by the clock."""

from __future__ import annotations

import threading
import time

import pytest

from completion_server.bounded_parse import BACKGROUND_SECONDS, children_of, descendants, parse_bounded
from completion_server.context.imports import find_imports
from completion_server.context.outline import outline
from completion_server.syntax import HoledText, count_errors, node_types_at, parse, parser_for

_SLOW = "#include <a>\n"  # 9,000 lines of it as TypeScript took 22 s
_USUAL = {
    "python": "def f(a, b):\n    return [a, {'b': b}]\n\n\n",
    "typescript": "export function f(a: number): string {\n  return `${a}`;\n}\n\n",
    "c": "static int f(int a, int b) {\n    return a + b;\n}\n\n",
    "go": "func f(a int) string {\n\treturn fmt.Sprint(a)\n}\n\n",
    "rust": "fn f(a: u8) -> Vec<u8> {\n    vec![a; 3]\n}\n\n",
    "java": "class A {\n    int f(int a) {\n        return a + 1;\n    }\n}\n",
}


@pytest.mark.parametrize("language_id", _USUAL)
@pytest.mark.parametrize("num_chars", [100, 10_000, 120_000])
def test_usual_code_is_parsed_whatever_its_length(language_id: str, num_chars: int) -> None:
    text = _USUAL[language_id] * (num_chars // len(_USUAL[language_id]) + 1)
    tree = parse_bounded(parser_for(language_id), text.encode(), float("inf"))
    assert tree is not None
    assert tree.root_node.end_byte == len(text)
    assert not tree.root_node.has_error


@pytest.mark.parametrize("language_id", ["python", "go", "typescript", "lua", "rust", "csharp", "kotlin"])
@pytest.mark.parametrize("written_in", _USUAL)
def test_code_of_another_language_is_parsed_too(language_id: str, written_in: str) -> None:
    text = _USUAL[written_in] * (10_000 // len(_USUAL[written_in]))
    assert parse_bounded(parser_for(language_id), text.encode(), float("inf")) is not None


@pytest.mark.parametrize("num_lines", [900, 9_000])
def test_what_takes_too_long_is_refused_by_the_number_of_operations(num_lines: int) -> None:
    parser = parser_for("typescript")
    assert parse_bounded(parser, (_SLOW * num_lines).encode(), float("inf")) is None
    # The parser does not go on with it.
    tree = parse_bounded(parser, b"let x = 1;\n", float("inf"))
    assert tree is not None
    assert not tree.root_node.has_error


def test_what_takes_too_long_is_refused_by_processor_time() -> None:
    assert parse_bounded(parser_for("python"), (_USUAL["python"] * 1_000).encode(), 0.0) is None


def test_a_text_that_was_refused_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _SLOW * 900
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
    assert holed.count_with(_SLOW * 900) is None
    assert holed.count_with("g();\n") is None
    assert HoledText("typescript", "let x = 1;\n", "let y = 2;\n").num_errors is None


def test_the_text_of_nodes_can_be_read() -> None:
    tree = parse_bounded(parser_for("python"), ("# é\n" * 3_000 + "x = 'ä'\n").encode(), float("inf"))
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
        outline(_SLOW * 9_000, "typescript")
        outline(";" * 120_000, "typescript")
    finally:
        is_done.set()
        thread.join()
    assert max(gaps) < 2.0  # 22 s before there was a limit


@pytest.mark.parametrize("language_id", ["typescript", "python", "go", "c"])
def test_a_file_that_takes_too_long_has_no_outline(language_id: str) -> None:
    assert outline(_SLOW * 9_000, "typescript") == ()
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
    text = "{" * 3_000 + "f(g(1)); h(2);" + "}" * 3_000
    tree = parse_bounded(parser_for("typescript"), text.encode(), float("inf"))
    calls = [each.text for each in descendants(tree.root_node, {"call_expression"})]
    assert calls == [b"f(g(1))", b"h(2)"]
    assert list(descendants(tree.root_node, {"call_expression"}, {"object"})) == []


def test_the_children_of_a_node_that_has_very_many_are_not_made() -> None:
    tree = parse_bounded(parser_for("typescript"), b"a;" * 20_000, BACKGROUND_SECONDS * 10)
    assert tree.root_node.named_child_count == 20_000
    assert children_of(tree.root_node) == []
    few = parse_bounded(parser_for("typescript"), b"a;" * 20, BACKGROUND_SECONDS)
    assert len(children_of(few.root_node)) == 20


@pytest.mark.parametrize("depth", [1, 10, 1_000, 5_000])
def test_the_types_around_a_place_are_read_from_the_root_down(depth: int) -> None:
    types = node_types_at("typescript", "(" * depth + "x" + ")" * depth, depth)
    assert types[0] == "identifier"
    assert types[-1] == "program"
    assert types.count("parenthesized_expression") == depth

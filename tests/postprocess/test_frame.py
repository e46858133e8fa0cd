"""A part of a long file is read as what it is inside of."""

from __future__ import annotations

import pytest

from completion_server.document import Document
from completion_server.postprocess.frame import heads_above, parsed_part
from completion_server.postprocess.pipeline import postprocess
from tests.support.places import place_at

JS_METHODS = "".join(
    f"  get part{number}() {{\n    return this.#parts[{number}];\n  }}\n\n" for number in range(200)
)
JSON_ITEMS = "".join(f'      "thing number {number}",\n' for number in range(500))
C_ROWS = "".join(f'\t\t{{ "grey{number}", 0x{number:06x} }},\n' for number in range(400))


def in_class(line: str) -> str:
    head = "import x from 'y';\n\nexport default class Spinner extends Base {\n  #parts = [];\n\n"
    return f"{head}{JS_METHODS}  ˇ{line}\n    return this.stop(text);\n  }}\n\n{JS_METHODS}}}\n"


@pytest.mark.parametrize("language_id", ["javascript", "typescript"])
def test_a_method_in_a_long_class(language_id: str) -> None:
    place = place_at(in_class(""), language_id=language_id)
    for text in ("fail(text) {", "async #read(stream, {signal} = {}) {", "static {"):
        assert postprocess(text, place).text == text
    whole = in_class("stop() {").replace("ˇ", "").replace("    return this.stop(text);", "    ˇ")
    assert place_at(whole, language_id=language_id).errors.num_errors == 0
    assert postprocess("return this. = = text;", place_at(whole, language_id=language_id)).text == ""


def test_a_line_of_a_long_list() -> None:
    place = place_at(f'{{\n  "a": {{\n    "names": [\n{JSON_ITEMS}      ˇ\n{JSON_ITEMS}', language_id="json")
    assert postprocess('"mask",', place).text == '"mask",'
    assert postprocess('"mask": 1,', place).text != '"mask": 1,'
    marked = f"int f(int a)\n{{\n\tstatic const struct c cs[] = {{\n{C_ROWS}\t\tˇ\n{C_ROWS}\t}};\n}}\n"
    text = '{ "golden", 0xeee8aa },'
    assert postprocess(text, place_at(marked, language_id="c")).text == text


def test_where_most_lines_are_errors_nothing_is_known_of_one_more() -> None:
    rows = "".join(f"<< {number} >> ] [ : ) = =\n" for number in range(100))
    place = place_at(f"{rows}ˇ\n{rows}", language_id="javascript")
    assert place.errors.num_errors is None
    assert postprocess("<< 7 >> ] [ : ) = =\n", place).text == "<< 7 >> ] [ : ) = ="
    assert place_at("x = = 1;\nˇ\n", language_id="javascript").errors.num_errors == 1


@pytest.mark.parametrize(
    ("text", "line", "heads"),
    [
        ("class A:\n    def f(self):\n        x = 1\n\n        y = 2\n", 3, "class A:\ndef f(self):\n"),
        ("class A:\n    def f(self):\n        x = 1\n\n\ny = 2\n", 3, ""),
        ("class A\n{\n    int x;\n    int y;\n}\n", 3, "class A\n{\n"),
        ("if (a) {\n  b();\n} else {\n  c();\n  d();\n}\n", 4, "else {\n"),
        ("f({\n  a: [\n    1,\n    2,\n  ],\n", 3, "f({\na: [\n"),
        ("class A {\n  f() {\n// f was\n#if B\n    x();\n    y();\n", 5, "class A {\nf() {\n"),
        ("{\n  a\n", 1, "{\n"),
        ("a\n", 0, ""),
        ("\n\n", 1, ""),
    ],
)
def test_heads_above(text: str, line: int, heads: str) -> None:
    assert heads_above(Document.from_text(text, uri="file:///a", language_id="cpp"), line) == heads


def test_a_private_method_is_a_head() -> None:
    text = "class A {\n  #run() {\n// was\n    x();\n    y();\n"
    document = Document.from_text(text, uri="file:///a", language_id="javascript")
    assert heads_above(document, 4) == "class A {\n#run() {\n"
    document = Document.from_text("class A {\n  *all() {\n    x();\n", uri="file:///a", language_id="javascript")
    assert heads_above(document, 2) == "class A {\n*all() {\n"


def test_heads_that_are_too_long_or_too_far_are_left_out() -> None:
    def heads(text: str) -> str:
        return heads_above(Document.from_text(text, uri="file:///a", language_id=""), text.count("\n"))

    assert heads("x" * 900 + " {\n  a\n  b") == ""
    assert heads("f {\n" + "  a\n" * 3_000 + "  b") == "f {\n"
    assert heads("f {\n" + "  a\n" * 5_000 + "  b") == ""


def test_heads_that_make_it_worse_are_not_used() -> None:
    before, after = "  x = = 1;\n", "  y = 2;\n"
    alone = parsed_part("javascript", "", before, after, is_cut_below=True).num_errors
    assert alone == parsed_part("javascript", "if if {{ ((\n", before, after, is_cut_below=True).num_errors == 1
    assert parsed_part("nonsense", "f {\n", before, after, is_cut_below=True).num_errors is None

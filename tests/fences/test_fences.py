"""Which lines of Markdown are code: examples, and markdown-it-py as the reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from completion_server.document import Document
from completion_server.fences import fence_around, fence_end, without_prose


def code_lines(text: str) -> list[int]:
    document = Document.from_text(text, language_id="markdown")
    return [line for line in range(len(document.lines)) if fence_around(document, line) is not None]


def reference(text: str) -> list[int]:
    lines: list[int] = []
    num_lines = len(Document.from_text(text).lines)
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence":
            begin, end = token.map or (0, 0)
            content = token.content.count("\n")
            lines += range(begin + 1, min(begin + 1 + content, end, num_lines))
    return lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```py\nx\n```\nb\n", [2]),
        ("~~~\nx\n```\ny\n~~~\nb\n", [1, 2, 3]),
        ("````\n```\nx\n````\nb\n", [1, 2]),
        ("Run ```make test```\nand go on\n", []),
        ("```make test```\nand go on\n", []),
        ("    ```\n    not a fence\nprose\n", []),
        ("```\nx\n    ```\ny\n```\nb\n", [1, 2, 3]),
        ("```\nx\n``` py\ny\n```\n", [1, 2, 3]),
        ("- item\n\n  ```py\n  x\n  ```\nb\n", [3]),
        ("1. item\n\n   ```py\n   x\nb\n", [3]),
        ("- a\n  - b\n\n    ```py\n    x\n    ```\n\nprose\n", [4]),
        ("> ```py\n> x\nprose\n", [1]),
        ("- ```py\n  x\n  ```\nb\n", [1]),
        ("```\n" + "x\n" * 300 + "```\nprose\n", list(range(1, 301))),
        ("~~~ a`b`\nx\n~~~\n", [1]),
        ("`` ` ``\nprose\n", []),
        ("~~strike~~ and ~~~~\nprose\n", []),
        ("```\nx\n~~~\n", [1, 2, 3]),
        ("\t```\nprose\n", []),
    ],
)
def test_examples(text: str, expected: list[int]) -> None:
    assert code_lines(text) == expected


def test_the_language_and_the_end_of_a_fence() -> None:
    document = Document.from_text("a\n```Python title=x\nx\ny\n```\nb\n", language_id="markdown")
    fence = fence_around(document, 2)
    assert fence is not None
    assert (fence.start, fence.language_id, fence_end(document, fence, 2)) == (1, "python", 4)
    for info, name in {
        "{r, echo=F}": "r",
        "{.rs .x}": "rust",
        "c++": "cpp",
        "TSX": "typescriptreact",
        "": "",
        "=": "",
    }.items():
        fence = fence_around(Document.from_text(f"~~~{info}\nx\n"), 1)
        assert fence is not None
        assert fence.language_id == name


LINES = [
    "", "text", "more text", "```", "```py", "````", "~~~", "~~~~ sh", "```a```", " ```", "   ~~~", "    ```",
    "# title", "\tcode",
]  # fmt: skip
ITEMS = ["- item", "  ```", "  ```py", "  text", "  ", "text", "", "```", "  ~~~", "1. one", "   ```"]
QUOTES = ["> text", "> ```", ">", "> ~~~", "text", "", "```", ">   ```"]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_fences_at_the_top_are_those_of_the_reference(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    assert code_lines(text)[: len(reference(text))] == reference(text), text
    assert set(code_lines(text)) - set(reference(text)) <= {len(lines)}, text


@settings(max_examples=400)
@given(st.lists(st.sampled_from(ITEMS), max_size=8))
def test_fences_in_lists_are_those_of_the_reference(lines: list[str]) -> None:
    text = "\n".join(["- first", *lines]) + "\n"
    assert set(reference(text)) ^ set(code_lines(text)) <= {len(lines) + 1}, text


@settings(max_examples=400)
@given(st.lists(st.sampled_from(QUOTES), max_size=8))
def test_fences_in_quotes_are_those_of_the_reference(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    assert set(reference(text)) ^ set(code_lines(text)) <= {len(lines)}, text


def test_without_prose_only_the_block_is_left_in_its_place() -> None:
    document = Document.from_text("It's\n```js\nf(\n\n```\nDon't\n", language_id="markdown")
    code = without_prose(document, 2)
    assert (code.language_id, code.lines) == ("javascript", ("\n", "\n", "f(\n", "\n", "\n", "\n", "\n"))
    assert without_prose(document, 5) is document
    python = Document.from_text("```\nx\n", language_id="python")
    assert without_prose(python, 1) is python

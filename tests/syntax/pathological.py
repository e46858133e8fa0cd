"""Texts that are cheap to write and dear to read: each interesting token of a language many times.

``python -m tests.syntax.pathological [N [LANGUAGE...]]`` runs every text, or one in N, through every stage and
prints the slowest calls.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from completion_server.completion_cache import CompletionCache
from completion_server.context.files import source_of_text
from completion_server.context.imports import find_imports
from completion_server.context.nearby import names_near, pieces_of
from completion_server.context.outline import outline
from completion_server.context.place import look_at, types_of
from completion_server.document import Document, Position
from completion_server.line_window import LineWindow
from completion_server.look_ahead import after_enter
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.place import Place
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.prompt.healing import last_run
from completion_server.request import CancellationToken, CompletionRequest, Deadline, Insertion, TriggerKind
from completion_server.trigger import decide_trigger

_BRACKETS = ["(", "[", "{", "<", "([{", "({[<", "()", "f(", "a[", "{a:", "<a>", "</a>", "a<b<", ")", "}", "]"]
_QUOTES = (
    *('"', "'", "`", '"""', "'''", "\\", '\\"', "${", "`${", "/*", "*/", "//", "#", "--", "<!--"),
    *("<<A\n", '"\n', "<a b='"),
)
_SECRETS = ("eyJ-", "eyJaaaaaaaaaaaaaaaaaaaaaaa.", "password=", "-----BEGIN PRIVATE KEY-----", "a://b:", "AKIA")
_WORDS = (
    "x: y = ",
    "x = ",
    "lambda ",
    "lambda: ",
    "case ",
    "then ",
    "lorem ipsum ",
    "a b ",
    "impl A for ",
    "class A ",
)
_SPACES = ("\t", "    ", "a ? ", "=> ", ": ", "~~~\n", "```\n", "* ")
_SIGNS = (
    *(
        "a.b",
        "a->",
        "a::",
        "a.b(c).",
        "case:",
        "*&",
        "@",
        "!",
        "?.",
        "a,",
        ";",
        ":",
    ),
    *(
        "a",
        "A",
        "Aa",
        "é",
        "😀",
        "本",
        "\u200b",
        "0",
        "0x",
        ".",
        "...",
        "_",
    ),
    *(
        "-",
        "+",
        "=",
        "|",
        "&&",
        "$",
        "%",
        "^",
    ),
)
_LINES = {
    "python": (
        "if x:\n",
        "def f(\n",
        "class A:\n",
        "from a import b\n",
        "import a.b as c\n",
        "@a\n",
        "x = [\n",
        "try:\n",
    ),
    "typescript": (
        "#include <a>\n",
        "import a from 'b';\n",
        "export {\n",
        "f(() => {\n",
        "x = <A>y\n",
        "type A = {\n",
    ),
    "javascript": (
        "const a = require('b');\n",
        "/a/.b(\n",
        "x = a ? b :\n",
        "function f() {\n",
        "`${`\n",
        "async () =>\n",
    ),
    "go": (
        "import (\n",
        "func f(\n",
        "type A struct {\n",
        "if x {\n",
        "a := <-b\n",
        "switch {\n",
    ),
    "rust": (
        "use a::{\n",
        "impl A {\n",
        "fn f<'a>(\n",
        "match x {\n",
        "a!(\n",
        'r#"\n',
        "Vec<\n",
    ),
    "c": (
        "#if A\n",
        "#include <a>\n",
        "#define A \\\n",
        "struct a {\n",
        "int f(\n",
        "a * b\n",
        "case 1:\n",
    ),
    "cpp": (
        "template <\n",
        "a<b>::c<\n",
        "namespace a {\n",
        'R"(\n',
        "class A : public B {\n",
    ),
    "java": (
        "import a.b;\n",
        "class A {\n",
        "@A(\n",
        "List<\n",
        "case 1 ->\n",
        "if (x) {\n",
    ),
    "shellscript": (
        "<<A\n",
        "if x; then\n",
        "case x in\n",
        "$(\n",
        "a | b\n",
        "for x in\n",
        "[[ a\n",
    ),
    "ruby": (
        "<<~A\n",
        "%w(\n",
        "do |x|\n",
        "def f\n",
        "#{\n",
        "if x then\n",
    ),
    "html": (
        "<div>\n",
        "<script>\n",
        '<a b="\n',
        "<!--\n",
        "<style>\n",
    ),
    "css": (
        "a {\n",
        "@media {\n",
        "a: b(\n",
        "/*\n",
    ),
    "json": (
        '{"a":\n',
        "[\n",
        '"a",\n',
    ),
    "yaml": (
        "a:\n",
        "- \n",
        "? a\n",
        "a: |\n",
        "  - a: b\n",
    ),
    "sql": (
        "SELECT (\n",
        "CASE WHEN\n",
        "a AND\n",
        "-- \n",
    ),
    "lua": (
        "function f()\n",
        "if x then\n",
        "--[[\n",
        "{{\n",
    ),
    "php": (
        "<?php\n",
        "function f(\n",
        "<<<A\n",
        "?>\n",
    ),
    "kotlin": (
        "fun f(\n",
        "class A(\n",
        '"${\n',
        "when {\n",
    ),
    "csharp": (
        "namespace A {\n",
        "class A {\n",
        '$"{\n',
        "#if A\n",
        "a<b,\n",
    ),
    "swift": (
        "func f(\n",
        "\\(\n",
        "struct A {\n",
        "{ a in\n",
    ),
    "scala": (
        "def f(\n",
        "object A {\n",
        "case a =>\n",
        's"${\n',
    ),
    "markdown": (
        "```\n",
        "~~~\n",
        "    a\n",
        "> \n",
        "* \n",
        "```python\n",
    ),
    "plaintext": (
        "a\n",
        "\n",
    ),
}
LANGUAGES = tuple(_LINES)
REQUEST_CHARS, FILE_CHARS = 20_000, 120_000


@dataclass(frozen=True)
class Case:
    """A text and how it is made."""

    language_id: str
    name: str
    text: str


def cases(language_id: str, num_chars: int) -> Iterator[Case]:
    """Texts of about ``num_chars`` characters."""
    tokens = (*_BRACKETS, *_QUOTES, *_SECRETS, *_WORDS, *_SPACES, *_SIGNS, *_LINES[language_id])
    for number, token in enumerate(tokens):
        count = max(num_chars // len(token), 1)
        other = tokens[(7 * number + 3) % len(tokens)]
        for shape, text in (
            ("on one line", token * count),
            ("on lines of 4,900", "\n".join([token * (4_900 // len(token))] * max(num_chars // 4_900, 1))),
            ("a line each", (token.rstrip("\n") + "\n") * (num_chars // (len(token) + 1))),
            (
                "deeper and deeper",
                "".join(" " * (at % 200) + token.rstrip("\n") + "\n" for at in range(num_chars // 110)),
            ),
            ("in turn with " + repr(other), (token + other) * (num_chars // (len(token) + len(other)))),
            ("in the middle of spaces", " " * 2_400 + token + " " * 2_400 + "\n" + token * (count // 2)),
        ):
            yield Case(language_id, f"{token!r} {shape}", text)


GENERATED = ("foo(bar)\n    baz\n", ") + (", "\"a\", 'b'", "x = [\n    1,\n    2,\n]\nfor x in y:\n    pass\n")


def _words(text: str) -> list[int]:
    """Tokens of four characters, as a tokenizer that is fast."""
    return list(range(len(text) // 4))


def request_stages(case: Case, share: float) -> Iterator[tuple[str, Callable[[], object]]]:
    """What happens to a request in the text at that share of its lines, by name."""
    whole = Document.from_text(case.text, uri="file:///a", language_id=case.language_id)
    line = min(int(len(whole.lines) * share), len(whole.lines) - 1)
    column = int(len(whole.lines[line].rstrip("\n")) * (share if len(whole.lines) < 3 else 1))
    token, deadline = CancellationToken(), Deadline.never()
    asked = CompletionRequest(whole, Position(line, column), TriggerKind.AUTOMATIC, deadline, token)
    yield "window", lambda: LineWindow.of(asked)
    request = LineWindow.of(asked).request
    document, position = request.document, request.position
    for kind in TriggerKind:
        yield f"trigger {kind.name.lower()}", lambda kind=kind: decide_trigger(document, position, kind)  # type: ignore[misc]
    yield "prompt", lambda: (
        prefix_window(document, position, 1_024, _words), suffix_window(document, position, 256, _words),
    )  # fmt: skip
    yield "healing", lambda: last_run(document.line_prefix(position))
    yield "cache", lambda: _remember(CompletionCache(16), document, position)
    yield "look ahead", lambda: after_enter(document, position)
    yield "names", lambda: names_near(document, position)
    yield (
        "place in context",
        lambda: [types_of(each.steps, document, position) for each in look_at(document, position).qualifiers],
    )
    yield "self", lambda: types_of(("self",), document, position)
    yield "imports", lambda: find_imports("".join(document.lines[:200])[:16_000], case.language_id)
    yield "place", lambda: Place.of(document, position, is_partial=False, is_single_line=False)
    for number, text in enumerate(GENERATED):
        yield (
            f"filters {number}",
            lambda text=text: postprocess(  # type: ignore[misc]
                text, Place.of(document, position, is_partial=False, is_single_line=False)
            ),
        )


def _remember(cache: CompletionCache, document: Document, position: Position) -> None:
    cache.store(document, position, (Insertion("foo(bar)"),))
    cache.lookup(document, position, 1)
    cache.lookup_draft(document, position)


def file_stages(case: Case) -> Iterator[tuple[str, Callable[[], object]]]:
    """What happens to a file of the workspace."""
    yield "outline", lambda: outline(case.text, case.language_id)
    yield "source", lambda: source_of_text(case.text, "a", case.language_id, (0,))
    yield "pieces", lambda: pieces_of(case.text.splitlines(keepends=True))


def time_all(languages: Sequence[str], every: int = 1) -> list[tuple[float, str]]:
    """Processor seconds of each call with its name, the slowest first; one text in ``every``."""
    texts = (
        (case, size) for each in languages for size in (REQUEST_CHARS, FILE_CHARS) for case in cases(each, size)
    )
    times: list[tuple[float, str]] = []
    for case, size in islice(texts, every // 2, None, every):
        stages = [*request_stages(case, 0.5), *request_stages(case, 1.0)]
        if size == FILE_CHARS:
            stages += file_stages(case)
        times += [(_time(call), f"{case.language_id}: {case.name}, {size}: {name}") for name, call in stages]
    return sorted(times, reverse=True)


def _time(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


if __name__ == "__main__":
    slowest = time_all(sys.argv[2:] or LANGUAGES, int(sys.argv[1]) if sys.argv[1:] else 1)[:60]
    sys.stdout.writelines(f"{seconds * 1000:9.1f} ms  {name}\n" for seconds, name in slowest)

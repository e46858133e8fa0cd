"""Outlines: what is rendered for each language, members first that are used, never more than there is room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.context.outline import outline

PYTHON = '''\
LIMIT: int = 3


@decorated
class Point(Base):
    """A place.

    More of it.
    """

    x: int = 0

    def norm(self, order: int = 2) -> float:
        """Its length."""
        return 0.0

    async def send(
        self,
        to: str,
    ) -> None:
        pass


def add(a, b):
    return a + b
'''
CASES = {
    "python": (
        PYTHON,
        [
            "LIMIT: int = 3\n",
            'class Point(Base):\n    """A place."""\n    x: int = 0\n'
            "    def norm(self, order: int = 2) -> float:\n    async def send(self, to: str) -> None:\n",
            "def add(a, b):\n",
        ],
    ),
    "typescript": (
        "export const limit: number = 3;\n"
        "export class A<T> extends B {\n  private y: number;\n  get z(): number { return 1; }\n}\n"
        "export interface I { a: string }\nexport default function g(a: number): void {}\n",
        [
            "const limit: number = 3;\n",
            "class A<T> extends B {\n    private y: number;\n    get z(): number\n}\n",
            "interface I {\n    a: string;\n}\n",
            "function g(a: number): void\n",
        ],
    ),
    "go": (
        "package p\n\ntype T struct {\n\tA int\n}\n\nfunc (t *T) M(a int) (string, error) {\n\treturn\n}\n",
        ["type T struct {\n    A int;\n}\n", "func (t *T) M(a int) (string, error)\n"],
    ),
    "rust": (
        "pub struct S { a: i32 }\nimpl S { pub fn new(a: i32) -> Self { S { a } } }\n",
        ["pub struct S {\n    a: i32;\n}\n", "impl S {\n    pub fn new(a: i32) -> Self\n}\n"],
    ),
    "java": (
        "package p;\npublic class A { int x; public A(int y) {} String f(int a) { return null; } }\n",
        ["public class A {\n    int x;\n    public A(int y)\n    String f(int a)\n}\n"],
    ),
    "cpp": (
        "#ifndef H\nnamespace n { class A { public: int f(int a) const; }; }\n"
        "int g(int a) { return 1; }\n#endif\n",
        ["class A {\n    int f(int a) const;\n}\n", "int g(int a)\n"],
    ),
}


@pytest.mark.parametrize("language", CASES)
def test_the_outline_of_a_language(language: str) -> None:
    text, expected = CASES[language]
    assert [each.render((), 10_000) for each in outline(text, language)] == expected


def test_lines_and_names() -> None:
    limit, point, add = outline(PYTHON, "python")
    assert (limit.name, limit.first_line, limit.end_line) == ("LIMIT", 0, 1)
    assert (point.name, point.end_line) == ("Point", 21)
    assert [member.name for member in point.members] == ["x", "norm", "send"]
    assert add.names == {"add"}


def test_members_in_use_come_first_and_in_the_order_of_the_file() -> None:
    point = outline(PYTHON, "python")[1]
    room = len(point.head) + len(point.members[2].text)
    tight = point.render({"send"}, room)
    assert "async def send(self, to: str)" in tight
    assert "def norm" not in tight
    rendered = point.render({"send", "x"}, 1000)
    assert rendered.index("x: int") < rendered.index("norm") < rendered.index("send")


@given(max_chars=st.integers(0, 400), wanted=st.sets(st.sampled_from(["x", "norm", "send"])))
def test_rendering_never_takes_more_than_allowed(max_chars: int, wanted: set[str]) -> None:
    for definition in outline(PYTHON, "python"):
        assert len(definition.render(wanted, max_chars)) <= max_chars


@pytest.mark.parametrize("language", [*CASES, "markdown", "no such language"])
@pytest.mark.parametrize("text", ["", "\n", "def (", "class", "}}}}", "\0\0", "é" * 300, "(" * 500])
def test_broken_text_is_no_error(language: str, text: str) -> None:
    assert isinstance(outline(text, language), tuple)

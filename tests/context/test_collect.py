"""What is chosen for a place: definitions in use first, the same from key to key, nothing that is ignored."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from completion_server.context.background import BackgroundWork
from completion_server.context.collect import ContextCollector
from completion_server.context.uri import path_of_uri
from completion_server.document import Document, Position
from completion_server.request import RecentEdit, WorkspaceView
from completion_server.snippet import CrossFileContext, SnippetKind
from tests.support.marked import parse_marked
from tests.support.workspaces import settle, settled_collector, write_files

UTIL = '''\
def area(width: int, height: int) -> int:
    """The area."""
    return width * height


def unused() -> None:
    pass


class Client:
    def fetch(self, url: str) -> bytes: ...

    def close(self) -> None: ...
'''
MAIN = "from pkg.util import Client, area\n\nx = 1\n\nsize = areaˇ\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path, {"pkg/util.py": UTIL, "pkg/main.py": "x = 1\n", "secret.pem": "x"})


def collect(
    collector: ContextCollector, root: Path, marked: str, max_tokens: int = 256, **view: object
) -> CrossFileContext:
    document, position = parse_marked(marked, uri=(root / "pkg/main.py").as_uri())
    return collector.collect(document, position, WorkspaceView(root_uri=root.as_uri(), **view), max_tokens)  # type: ignore[arg-type]


def test_the_definition_of_an_imported_name_that_is_used(root: Path) -> None:
    context = collect(settled_collector(root), root, MAIN.replace("areaˇ", "area(ˇ)"))
    (snippet,) = context.snippets
    assert (snippet.path, snippet.kind) == ("pkg/util.py", SnippetKind.DEFINITION)
    assert 'def area(width: int, height: int) -> int:\n    """The area."""\n' in snippet.text
    assert "unused" not in snippet.text
    assert "def fetch(self, url: str) -> bytes" in snippet.text
    assert (context.place.path, context.place.repository) == ("pkg/main.py", root.name)


def test_when_there_is_little_room_use_decides(root: Path) -> None:
    collector = settled_collector(root)
    (snippet,) = collect(collector, root, MAIN.replace("areaˇ", "area(ˇ)"), 20).snippets
    assert "area" in snippet.text
    assert "Client" not in snippet.text
    collector.clear()
    (snippet,) = collect(collector, root, MAIN.replace("size = areaˇ", "c = Client(ˇ)"), 20).snippets
    assert "Client" in snippet.text
    assert "area" not in snippet.text


def test_a_name_that_a_package_hands_on(tmp_path: Path) -> None:
    write_files(tmp_path, {"pkg/__init__.py": "from pkg.util import area\n", "pkg/util.py": UTIL})
    context = collect(settled_collector(tmp_path), tmp_path, "from pkg import area\n\nsize = area(ˇ)\n")
    assert [snippet.path for snippet in context.snippets] == ["pkg/util.py"]


def test_files_of_a_go_package_need_no_import(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"p/a.go": "package p\n", "p/b.go": "package p\n\nfunc Area(w int) int {\n\treturn w\n}\n"}
    )
    collector = settled_collector(tmp_path)
    document, position = parse_marked(
        "package p\n\nvar x = Area(ˇ)\n", uri=(tmp_path / "p/a.go").as_uri(), language_id="go"
    )
    view = WorkspaceView(root_uri=tmp_path.as_uri())
    assert [each.text for each in collector.collect(document, position, view, 256).snippets] == [
        "func Area(w int) int\n"
    ]


def test_typing_changes_nothing_and_a_jump_does(root: Path) -> None:
    collector = settled_collector(root)
    first = collect(collector, root, MAIN)
    for typed in ("area", "area(", "area(1, Client", "area(1)\ny = 2\n"):
        assert collect(collector, root, MAIN.replace("areaˇ", typed + "ˇ")) is first
    assert collect(collector, root, MAIN.replace("areaˇ", "\n" * 60 + "c = Client()ˇ")) is not first


def test_a_better_selection_is_used_only_once_adopted(root: Path) -> None:
    collector = settled_collector(root)
    first = collect(collector, root, MAIN, 25)
    document, position = parse_marked(
        MAIN.replace("size = areaˇ", "c = Client()\nc.fetch()ˇ"), uri=(root / "pkg/main.py").as_uri()
    )
    view = WorkspaceView(root_uri=root.as_uri())
    better = collector.propose(document, position, view, 25)
    assert better is not None
    assert "Client" in better.snippets[0].text
    assert collector.collect(document, position, view, 25) is first
    collector.adopt(document.uri)
    assert collector.collect(document, position, view, 25) is better
    assert collector.propose(document, position, view, 25) is None


def test_a_selection_for_all_of_a_document_stays_wherever_the_cursor_is(root: Path) -> None:
    collector = settled_collector(root)
    document = Document.from_text(
        MAIN.replace("ˇ", "") + "\n" * 300, uri=(root / "pkg/main.py").as_uri(), language_id="python"
    )
    view = WorkspaceView(root_uri=root.as_uri())
    first = collector.collect_for_all(document, view, 256)
    assert first.snippets
    assert collector.collect(document, Position(290, 0), view, 256) is first


def test_recent_edits_and_similar_code_of_open_documents(root: Path) -> None:
    edited = "\n".join(f"first_{number} = compute_it(alpha, beta, gamma)" for number in range(40))
    other = Document.from_text(edited, uri=(root / "other.py").as_uri(), language_id="python")
    marked = "\n".join(f"second_{number} = compute_it(alpha, beta, gamma)" for number in range(3)) + "\nˇ"
    edits = (RecentEdit(other.uri, 20),)
    snippets = collect(settled_collector(root), root, marked, documents=(other,), recent_edits=edits).snippets
    assert snippets[0].kind is SnippetKind.RECENT_EDIT
    assert "first_20 " in snippets[0].text
    assert all(snippet.path == "other.py" for snippet in snippets)
    assert all(snippet.text.endswith("\n") and snippet.text.splitlines()[0] in edited for snippet in snippets)


@pytest.mark.parametrize("name", ["hidden.py", ".env"])
def test_an_ignored_document_is_neither_answered_nor_shown(root: Path, name: str) -> None:
    write_files(root, {".completionignore": "hidden.py\n"})
    text = "alpha beta gamma delta = compute_it\n" * 10
    hidden = Document.from_text(text, uri=(root / name).as_uri(), language_id="python")
    collector = settled_collector(root)
    view = WorkspaceView(root_uri=root.as_uri())
    assert collector.reason_to_skip(hidden, view) is not None
    edits = (RecentEdit(hidden.uri, 1),)
    context = collect(collector, root, text + "ˇ", documents=(hidden,), recent_edits=edits)
    assert context.snippets == ()


def test_unsaved_text_of_an_imported_file_counts(root: Path) -> None:
    collector = settled_collector(root)
    changed = UTIL.replace("width: int", "breadth: int")
    other = Document.from_text(changed, uri=(root / "pkg/util.py").as_uri(), language_id="python", version=5)
    collect(collector, root, MAIN, documents=(other,))
    settle(collector)
    collector.clear()
    assert "breadth" in collect(collector, root, MAIN, documents=(other,)).snippets[0].text
    collector.note_changes([other.uri])
    settle(collector)
    collector.clear()
    assert "width" in collect(collector, root, MAIN).snippets[0].text


@pytest.mark.parametrize(
    "uri", ["untitled:Untitled-1", "file:///", "file://host/share/a.py", "file:///%00", "", "::", "a b"]
)
def test_documents_that_are_no_files_of_the_workspace(root: Path, uri: str) -> None:
    document = Document.from_text("x = 1\n", uri=uri, language_id="python")
    collector = settled_collector(root)
    for folder in (root.as_uri(), None, "vscode-remote://x/y", "file:///"):
        view = WorkspaceView(root_uri=folder)
        assert collector.reason_to_skip(document, view) is None
        assert collector.collect(document, Position(0, 0), view, 256).snippets == ()


def test_paths_of_uris(tmp_path: Path) -> None:
    file = tmp_path / "a b" / "é#?.py"
    assert path_of_uri(file.as_uri()) == file


def test_the_background_works_until_nothing_is_left_and_never_while_held_back() -> None:
    done, gate = threading.Event(), threading.Event()
    left = [3]
    is_held = False
    clashes = []

    def work() -> bool:
        clashes.append(is_held)
        left[0] -= 1
        if left[0] == 0:
            done.set()
        gate.wait(0)
        return left[0] > 0

    background = BackgroundWork(work)
    with background.held_back():
        is_held = True
        background.wake()
        assert not done.wait(0.02)
        is_held = False
    assert done.wait(30)
    background.stop()
    assert clashes == [False] * 3

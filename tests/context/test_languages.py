"""What each language's own ways to use another file lead to: members, packages, headers, modules, enums."""

from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.context.files import language_of
from completion_server.request import WorkspaceView
from completion_server.snippet import CrossFileContext
from tests.support.marked import parse_marked
from tests.support.workspaces import settled_collector, write_files

INDEX_PY = '''\
class Base:
    def close(self) -> None: ...


class DocumentIndex(Base):
    """Finds."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: list[str] = []

    def lookup(self, key: str) -> str:
        return key


def open_index(path: str) -> DocumentIndex: ...
'''
SHAPES_GO = """\
package shapes

const (
	KindCircle = iota
	KindSquare
)

type Shape struct {
	Width int
}

func (s *Shape) Area() int { return s.Width }

func NewShape(w int) *Shape { return nil }
"""
STORE_TS = """\
export class Store {
  constructor(private readonly url: string) {}
  fetchAll(limit: number): Promise<string[]> { return load(limit); }
}
export enum Mode { Fast, Slow }
export const connect = (url: string): Store => new Store(url);
"""
FRAME_RS = """\
pub enum Kind { Data, Headers }
pub struct Frame { pub size: usize }
impl Frame {
    pub fn parse_head(&self) -> usize { 0 }
}
pub fn read_frame(size: usize) -> Frame { Frame { size } }
"""
SHAPE_H = """\
#ifndef SHAPE_H
#define MAX_SHAPES 16
typedef enum { SHAPE_ROUND, SHAPE_FLAT } shape_kind;
typedef struct shape { int shape_width; } shape_t;
int shape_area(const shape_t *shape);
#endif
"""
CASES = {
    "a member of an annotated attribute": (
        {"pkg/index.py": INDEX_PY},
        "pkg/main.py",
        "from pkg.index import DocumentIndex\n\n\nclass Search:\n    _index: DocumentIndex\n\n"
        "    def run(self):\n        return self._index.ˇ\n",
        ["lookup(self, key: str)", "entries", "close"],
    ),
    "a member of what a function returns": (
        {"pkg/index.py": INDEX_PY},
        "pkg/main.py",
        "from pkg.index import open_index\n\nindex = open_index('a')\nprint(index.ˇ)\n",
        ["lookup"],
    ),
    "a member of a member": (
        {"pkg/index.py": INDEX_PY, "pkg/app.py": "class App:\n    index: DocumentIndex\n"},
        "pkg/main.py",
        "from pkg.app import App\n\n\ndef run(app: App):\n    return app.index.ˇ\n",
        ["lookup"],
    ),
    "a module under another name": (
        {"pkg/index.py": INDEX_PY},
        "main.py",
        "import pkg.index as found\n\nx = found.ˇ\n",
        ["def open_index(path: str)", "DocumentIndex"],
    ),
    "a package that hands on": (
        {"pkg/__init__.py": "from .index import open_index\n", "pkg/index.py": INDEX_PY},
        "main.py",
        "import pkg\n\nx = pkg.ˇ\n",
        ["open_index"],
    ),
    "a base class in another file": (
        {"pkg/index.py": INDEX_PY},
        "pkg/main.py",
        "from pkg.index import DocumentIndex\n\n\nclass Own(DocumentIndex):\n    def run(self):\n        self.ˇ\n",
        ["lookup"],
    ),
    "a Go package": (
        {"shapes/shapes.go": SHAPES_GO},
        "cmd/main.go",
        'package main\n\nimport "example.com/app/shapes"\n\nfunc main() {\n\ts := shapes.ˇ\n}\n',
        ["func NewShape(w int) *Shape", "type Shape struct", "KindSquare"],
    ),
    "a Go package at the root, with a version": (
        {"shapes.go": SHAPES_GO},
        "cmd/main.go",
        'package main\n\nimport "example.com/shapes/v2"\n\nfunc main() {\n\ts := shapes.ˇ\n}\n',
        ["NewShape"],
    ),
    "methods of a Go type": (
        {"shapes/shapes.go": SHAPES_GO},
        "shapes/use.go",
        "package shapes\n\nfunc total(s *Shape) int {\n\treturn s.ˇ\n}\n",
        ["func (s *Shape) Area() int", "Width int"],
    ),
    "a constant of a Go package": (
        {"shapes/shapes.go": SHAPES_GO},
        "shapes/use.go",
        "package shapes\n\nvar kinds = []int{KindCircle, ˇ}\n",
        ["KindSquare"],
    ),
    "a member in TypeScript": (
        {"src/store.ts": STORE_TS},
        "src/main.ts",
        "import { Store } from './store';\nexport class App {\n  constructor(private store: Store) {}\n"
        "  run() {\n    return this.store.ˇ\n  }\n}\n",
        ["fetchAll(limit: number): Promise<string[]>"],
    ),
    "a namespace in TypeScript": (
        {"src/store.ts": STORE_TS},
        "src/main.ts",
        "import * as stores from './store';\nconst s = stores.ˇ\n",
        ["connect = (url: string): Store =>", "Mode"],
    ),
    "an enum in TypeScript": (
        {"src/store.ts": STORE_TS},
        "src/main.ts",
        "import { Mode } from './store';\nconst mode = Mode.ˇ\n",
        ["Fast, Slow,"],
    ),
    "CommonJS": (
        {"lib/store.js": "exports.connect = function (url) { return url; };\nfunction other(a) {}\n"},
        "lib/main.js",
        "var store_1 = require('./store');\nvar s = (0, store_1.ˇ\n",
        ["exports.connect = function (url)"],
    ),
    "a Rust module": (
        {"src/frame.rs": FRAME_RS, "src/lib.rs": "mod frame;\n"},
        "src/main.rs",
        "use crate::frame;\n\nfn main() {\n    let f = frame::ˇ\n}\n",
        ["pub fn read_frame(size: usize) -> Frame", "Kind"],
    ),
    "a Rust type's variants": (
        {"src/frame.rs": FRAME_RS},
        "src/main.rs",
        "use crate::frame::Kind;\n\nfn main() {\n    let k = Kind::ˇ\n}\n",
        ["Data, Headers,"],
    ),
    "methods in Rust": (
        {"src/frame.rs": FRAME_RS},
        "src/main.rs",
        "use crate::frame::Frame;\n\nfn run(frame: &Frame) {\n    frame.ˇ\n}\n",
        ["pub fn parse_head(&self) -> usize", "pub size: usize"],
    ),
    "a crate as its tests call it": (
        {"src/lib.rs": FRAME_RS},
        "tests/all.rs",
        "#[test]\nfn reads() {\n    let f = frames::ˇ\n}\n",
        ["read_frame"],
    ),
    "names of a C header": (
        {"include/shape.h": SHAPE_H},
        "src/main.c",
        '#include "shape.h"\n\nint main(void) {\n    int shape = SHAPE_ROUND;\n    return shape == ˇ\n}\n',
        ["SHAPE_FLAT", "int shape_area(const shape_t *shape);"],
    ),
    "fields in C": (
        {"include/shape.h": SHAPE_H},
        "src/main.c",
        '#include "shape.h"\n\nint main(void) {\n    shape_t *s = 0;\n    return s->ˇ\n}\n',
        ["int shape_width;"],
    ),
    "a macro of a C header": (
        {"include/shape.h": SHAPE_H},
        "src/main.c",
        '#include "shape.h"\n\nint shapes[ˇ];\n',
        ["#define MAX_SHAPES 16"],
    ),
    "Java types of the same package": (
        {"src/p/Shape.java": "package p;\npublic class Shape { int area(int factor) { return 1; } }\n"},
        "src/p/Main.java",
        "package p;\nclass Main {\n  int run(Shape shape) {\n    return shape.ˇ\n  }\n}\n",
        ["int area(int factor)"],
    ),
    "what the file beside writes there": (
        {"styles/a.go": 'package styles\n\nvar A = remote.MustNewStyle("a", nil)\n'},
        "styles/b.go",
        "package styles\n\nvar B = remote.ˇ\n",
        ['var A = remote.MustNewStyle("a", nil)'],
    ),
}


def collect(root: Path, path: str, marked: str, max_tokens: int = 256) -> CrossFileContext:
    document, position = parse_marked(marked, uri=(root / path).as_uri(), language_id=language_of(path) or "")
    return settled_collector(root).collect(document, position, WorkspaceView(root_uri=root.as_uri()), max_tokens)


@pytest.mark.parametrize("name", CASES)
def test_what_is_needed_is_shown(name: str, tmp_path: Path) -> None:
    files, path, marked, expected = CASES[name]
    write_files(tmp_path, {**files, path: marked.replace("ˇ", "")})
    context = collect(tmp_path, path, marked)
    shown = "".join(snippet.text for snippet in context.snippets)
    assert [each for each in expected if each not in shown] == []
    assert path not in {snippet.path for snippet in context.snippets}


@pytest.mark.parametrize("name", CASES)
def test_little_room_is_kept_to(name: str, tmp_path: Path) -> None:
    files, path, marked, _ = CASES[name]
    write_files(tmp_path, {**files, path: marked.replace("ˇ", "")})
    for max_tokens in (10, 30, 60):
        context = collect(tmp_path, path, marked, max_tokens)
        assert sum(len(snippet.text) for snippet in context.snippets) <= 3 * max_tokens


def test_another_expression_before_the_dot_asks_for_other_snippets(tmp_path: Path) -> None:
    write_files(tmp_path, {"pkg/index.py": INDEX_PY, "pkg/other.py": "class Other:\n    def spell(self): ...\n"})
    collector = settled_collector(tmp_path)
    view = WorkspaceView(root_uri=tmp_path.as_uri())
    text = (
        "from pkg.index import DocumentIndex\nfrom pkg.other import Other\n\n\n"
        "def run(index: DocumentIndex, other: Other):\n"
    )

    def at(line: str) -> tuple[object, ...]:
        return parse_marked(text + line, uri=(tmp_path / "pkg/main.py").as_uri())

    document, position = at("    index.ˇ\n")
    first = collector.collect(document, position, view, 60)  # type: ignore[arg-type]
    assert "lookup" in first.snippets[0].text
    assert collector.propose(document, position, view, 60) is None  # type: ignore[arg-type]
    document, position = at("    other.ˇ\n")
    proposed = collector.propose(document, position, view, 60)  # type: ignore[arg-type]
    assert proposed is not None
    assert "spell" in proposed.snippets[0].text

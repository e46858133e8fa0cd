"""Imports as each language writes them, and the files of a workspace that they mean."""

from __future__ import annotations

import posixpath
from collections.abc import Collection

import pytest

from completion_server.context.imports import find_imports, resolve_import


class PathList:
    """A workspace that is nothing but paths."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def has_file(self, path: str) -> bool:
        return path in self._paths

    def files_in(self, directory: str) -> Collection[str]:
        return [path for path in self._paths if posixpath.dirname(path) == directory]

    def files_named(self, name: str) -> Collection[str]:
        return [path for path in self._paths if posixpath.basename(path) == name]

    def directories_named(self, name: str) -> Collection[str]:
        directories = {posixpath.dirname(path) for path in self._paths}
        return [each for each in directories if posixpath.basename(each) == name]


CASES = [
    ("python", "src/p/a.py", "from p.b import c", ["src/p/b.py"]),
    ("python", "src/p/a.py", "from p import b", ["src/p/b.py", "src/p/__init__.py"]),
    ("python", "p/q/a.py", "from ..b import (\n    c as d,\n    e,\n)", ["p/b.py"]),
    ("python", "p/q/a.py", "from . import b", ["p/q/b.py"]),
    ("python", "tools/run.py", "import lib.x as y", ["lib/x.py"]),
    ("python", "p/a.py", "try:\n    from p.b import c\nexcept ImportError:\n    pass", ["p/b.py"]),
    ("python", "p/a.py", "import numpy", []),
    ("typescript", "web/a.ts", "import { b } from './b'", ["web/b.ts"]),
    ("typescript", "web/x/a.ts", "import type B from '../b.js'", ["web/b.ts"]),
    ("typescriptreact", "src/x/a.tsx", "import B from '@/lib/b'", ["src/lib/b/index.ts"]),
    ("javascript", "a.js", "const b = require('./b')", ["b.js"]),
    ("typescript", "a.ts", "export * from './b'", ["b.ts"]),
    ("go", "cmd/main.go", 'import (\n\tx "example.com/mod/pkg/util"\n\t"fmt"\n)', ["pkg/util/b.go"]),
    ("rust", "src/main.rs", "use crate::a::{b::C, d};", ["src/a/b.rs", "src/a/mod.rs"]),
    ("rust", "src/a/b.rs", "use super::x::*;", ["src/a/x.rs"]),
    ("rust", "src/lib.rs", "mod y;", ["src/y.rs"]),
    ("java", "src/main/java/p/A.java", "import p.q.B;", ["src/main/java/p/q/B.java"]),
    ("java", "src/main/java/p/A.java", "import static p.q.B.*;", ["src/main/java/p/q/B.java"]),
    ("cpp", "src/a.cpp", '#include "util/b.h"\n#include <vector>', ["include/util/b.h"]),
    ("c", "src/a.c", '#ifdef X\n#include "b.h"\n#endif', ["src/b.h"]),
]


@pytest.mark.parametrize(("language", "importer", "text", "expected"), CASES)
def test_an_import_leads_to_its_file(language: str, importer: str, text: str, expected: list[str]) -> None:
    others = ["z/other.py", "z/b.rb", "web/unrelated.ts", "pkg/util/b_test.go", "z/q/C.java", importer]
    paths = PathList(*expected, *others)
    found = [
        path for each in find_imports(text, language) for path in resolve_import(each, importer, language, paths)
    ]
    assert sorted(set(found)) == sorted(expected)


def test_names_that_are_taken() -> None:
    (found,) = find_imports("import D, {a as b, type C} from './m';", "typescript")
    assert (found.module, set(found.names), found.is_all) == ("./m", {"a", "C", "D"}, False)
    (star,) = find_imports("from p.b import *", "python")
    assert (star.names, star.is_all) == ((), True)


@pytest.mark.parametrize(
    "language", ["python", "typescript", "go", "rust", "java", "c", "cpp", "ruby", "nonsense"]
)
@pytest.mark.parametrize("text", ["", "import", "from . import", "use ::", '#include "', "import (", "\0"])
def test_half_an_import_is_no_error(language: str, text: str) -> None:
    for each in find_imports(text, language):
        resolve_import(each, "a.py", language, PathList("a.py"))


def test_an_import_cannot_lead_out_of_the_workspace() -> None:
    paths = PathList("b.py", "../b.py")
    for each in find_imports("from .....b import c", "python"):
        assert "../b.py" not in resolve_import(each, "a.py", "python", paths)

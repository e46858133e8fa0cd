"""Which other files a source file imports: read from its syntax tree, found among the paths of a workspace.

Each language's own rules, as far as they can be followed without running its tools: Python's packages and relative
imports, JavaScript's and TypeScript's relative paths (and ``@/`` for ``src``), Go's import paths by their last
directories, Rust's ``crate``, ``super`` and ``mod``, Java's class paths, C's quoted and bracketed includes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from completion_server.bounded_parse import REPLY_SECONDS, children_of, descendants, parse_bounded
from completion_server.syntax import grammar_of, parser_for

_MAX_IMPORTS = 200
_MAX_MODULE_CHARS = 300
_MAX_NAMES = 200
"""What is longer, or names more, is a generated file: one path is tried for each name and directory."""
_MAX_USE_DEPTH = 20
_SOURCE_ROOTS = ("", "src", "lib", "python", "include", "app")
_SCRIPT_ENDINGS = (".ts", ".tsx", ".js", ".jsx", ".mts", ".mjs", ".cjs", ".d.ts")
_MAX_FILES_PER_IMPORT = 8
_MAX_FILES_PER_PACKAGE = 60
_SCRIPT_IMPORTS = {
    "import_statement", "export_statement", "lexical_declaration", "variable_declaration", "expression_statement",
}  # fmt: skip
_TAKEN = {"shorthand_property_identifier_pattern", "pair_pattern"}


_NO_CRATES = frozenset({"crate", "self", "super", "Self", "std", "core", "alloc"})
_CRATE_ROOTS = ("lib.rs", "main.rs")


@dataclass(frozen=True)
class Import:
    """One import: the module as written, and the names taken from it; no names where it is imported as a whole."""

    module: str
    names: tuple[str, ...] = ()
    is_all: bool = False
    """Whether every name of the module is meant (``import *``, a Go package, a C header)."""
    alias: str = ""
    """What the module is called where its names stand behind it (``alias.name``); "" where they do not."""


class Paths(Protocol):
    """The files of a workspace, by paths relative to it with forward slashes."""

    def has_file(self, path: str) -> bool: ...

    def files_in(self, directory: str) -> Collection[str]: ...

    def files_named(self, name: str) -> Collection[str]:
        """Paths of all files with this last part."""
        ...

    def directories_named(self, name: str) -> Collection[str]:
        """Paths of all directories (with files in them) with this last part."""
        ...


def find_imports(text: str, language_id: str) -> tuple[Import, ...]:
    """The imports in ``text``, in order; empty where they are not known here, or where parsing takes long."""
    read = _READERS.get(grammar_of(language_id) or "")
    parser = parser_for(language_id)
    if read is None or parser is None:
        return ()
    found: dict[Import, None] = {}
    tree = parse_bounded(parser, text.encode("utf-8", "replace"), REPLY_SECONDS)
    for each in () if tree is None else read(tree.root_node):
        if len(each.module) <= _MAX_MODULE_CHARS:
            found[each if len(each.names) <= _MAX_NAMES else replace(each, names=each.names[:_MAX_NAMES])] = None
        if len(found) == _MAX_IMPORTS:
            break
    return tuple(found)


def resolve_import(found: Import, importer: str, language_id: str, paths: Paths) -> list[str]:
    """Files of the workspace that ``found`` may mean, ``importer`` being the path of the importing file."""
    resolve = _RESOLVERS.get(grammar_of(language_id) or "")
    if resolve is None:
        return []
    candidates = (_normal(path) for path in resolve(found, importer, paths))
    existing = dict.fromkeys(path for path in candidates if path != importer and paths.has_file(path))
    is_package = found.is_all and importer.endswith(".go")
    return list(existing)[: _MAX_FILES_PER_PACKAGE if is_package else _MAX_FILES_PER_IMPORT]


def _normal(path: str) -> str:
    """``path`` without dots; most have none, and looking is cheaper."""
    return posixpath.normpath(path) if "./" in path or "//" in path or path.endswith("/..") else path


# Reading


def _python(root: Any) -> Iterator[Import]:
    for node in _statements(root, {"import_statement", "import_from_statement"}):
        names = [_plain(each) for each in node.children_by_field_name("name")]
        module = node.child_by_field_name("module_name")
        if module is None:
            for each, name in zip(node.children_by_field_name("name"), names, strict=True):
                alias = each.child_by_field_name("alias")
                yield Import(name, alias=name if alias is None else _string(alias))
            continue
        is_all = any(child.type == "wildcard_import" for child in node.children)
        yield Import(_string(module), tuple(names), is_all)


def _script(root: Any) -> Iterator[Import]:
    for node in _statements(root, _SCRIPT_IMPORTS):
        source = node.child_by_field_name("source")
        if source is None:
            yield from _required(node)
            continue
        specifiers = list(descendants(node, {"import_specifier", "export_specifier"}))
        names = [_plain(each) for each in specifiers]
        clause = next((each for each in children_of(node) if each.type == "import_clause"), None)
        first = children_of(clause)[0] if clause is not None and children_of(clause) else None
        has_default = first is not None and first.type == "identifier"
        if has_default:
            names.append(_string(first))
        space = next(iter(descendants(node, {"namespace_import", "namespace_export"})), None)
        alias = "" if space is None or not children_of(space) else _string(children_of(space)[0])
        yield Import(_unquoted(source), tuple(names), not specifiers and not has_default, alias)


def _required(node: Any) -> Iterator[Import]:
    """``const x = require("./x")``, also inside of a helper's call; ``__exportStar(require("./x"))``."""
    is_export = node.type == "expression_statement"
    if is_export and not node.text.startswith(b"__exportStar("):
        return
    for call in descendants(node, {"call_expression"}):
        calls = [call, *descendants(call, {"call_expression"})]
        required = next((each for each in calls if each.text.startswith(b"require(")), None)
        arguments = None if required is None else required.child_by_field_name("arguments")
        if arguments is not None and children_of(arguments):
            name = None if is_export else children_of(node)[0].child_by_field_name("name")
            is_alias = name is not None and name.type == "identifier"
            taken = [] if name is None or is_alias else list(descendants(name, _TAKEN))
            names = tuple(_string(each.child_by_field_name("key") or each) for each in taken)
            yield Import(_unquoted(children_of(arguments)[0]), names, not names, _string(name) if is_alias else "")
        return


def _go(root: Any) -> Iterator[Import]:
    for node in descendants(root, {"import_spec"}, {"import_declaration", "import_spec_list"}):
        path = node.child_by_field_name("path")
        if path is not None:
            name = node.child_by_field_name("name")
            alias = _go_name(_unquoted(path)) if name is None else _string(name)
            yield Import(_unquoted(path), (), True, "" if alias == "." else alias)


def _go_name(path: str) -> str:
    """What a package is most probably called: versions and ``go-`` are left out."""
    parts = [each for each in path.split("/") if not re.fullmatch(r"v\d+", each)] or [""]
    return re.sub(r"^go-|[.-]go$|\.v\d+$", "", parts[-1])


def _rust(root: Any) -> Iterator[Import]:
    for node in _statements(root, {"use_declaration", "mod_item"}):
        if node.type == "mod_item":
            name = node.child_by_field_name("name")
            if name is not None and node.child_by_field_name("body") is None:
                yield Import(f"self::{_string(name)}", (), True)
        elif (argument := node.child_by_field_name("argument")) is not None:
            yield from _rust_use(argument, "")


def _rust_use(node: Any, path: str, depth: int = 0) -> Iterator[Import]:
    if depth > _MAX_USE_DEPTH:
        return
    if node.type == "use_list":
        for child in children_of(node):
            yield from _rust_use(child, path, depth + 1)
    elif node.type == "scoped_use_list":
        head, inner = node.child_by_field_name("path"), node.child_by_field_name("list")
        if inner is not None:
            yield from _rust_use(inner, path if head is None else _joined(path, _string(head)), depth + 1)
    elif node.type == "use_wildcard":
        yield Import(_joined(path, _string(node).removesuffix("::*")), (), True)
    else:
        if node.type == "use_as_clause":
            node = node.child_by_field_name("path") or node
        whole = _joined(path, _string(node))
        module, _, name = whole.rpartition("::")
        yield Import(module, (name,))


def _joined(path: str, name: str) -> str:
    return f"{path}::{name}" if path else name


def _java(root: Any) -> Iterator[Import]:
    for node in _statements(root, {"import_declaration"}):
        name = next((each for each in children_of(node) if each.type == "scoped_identifier"), None)
        if name is not None:
            yield Import(_string(name), (), any(each.type == "asterisk" for each in children_of(node)))


def _c(root: Any) -> Iterator[Import]:
    wrappers = {"preproc_ifdef", "preproc_if", "preproc_else", "linkage_specification", "declaration_list"}
    for node in descendants(root, {"preproc_include"}, wrappers):
        path = node.child_by_field_name("path")
        if path is not None:
            yield Import(_string(path).strip('"<>'), (), True)


def _statements(root: Any, kinds: set[str]) -> Iterator[Any]:
    """Of the top level, and inside of ``if TYPE_CHECKING:`` and ``try:``."""
    yield from descendants(root, kinds, {"if_statement", "try_statement", "block", "except_clause"})


def _plain(node: Any) -> str:
    """The name itself of ``name as alias``."""
    return _string(node.child_by_field_name("name") or node)


def _unquoted(node: Any) -> str:
    return _string(node).strip("\"'`")


def _string(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


# Resolving


def _python_files(found: Import, importer: str, _paths: Paths) -> Iterator[str]:
    dotted = found.module.lstrip(".")
    level = len(found.module) - len(dotted)
    tail = dotted.replace(".", "/")
    bases: Iterable[str]
    if level:
        base = posixpath.dirname(importer)
        for _ in range(level - 1):
            base = posixpath.dirname(base)
        bases = (base,)
    else:
        bases = (*_ancestors(importer), *_SOURCE_ROOTS)
    for base in bases:
        stem = f"{base}/{tail}" if base and tail else base or tail
        inside = f"{stem}/" if stem else ""
        for name in found.names:  # ``from package import module``
            yield from (f"{inside}{name}.py", f"{inside}{name}/__init__.py")
        yield from (f"{stem}.py", f"{stem}.pyi", f"{inside}__init__.py")


def _script_files(found: Import, importer: str, _paths: Paths) -> Iterator[str]:
    if found.module.startswith("."):
        bases = [posixpath.join(posixpath.dirname(importer), found.module)]
    elif found.module.startswith(("@/", "~/")):
        bases = [posixpath.join("src", found.module[2:]), found.module[2:]]
    else:
        bases = [posixpath.join(root, found.module) for root in ("", "src")]
    for base in bases:
        stem = posixpath.splitext(base)[0] if base.endswith((".js", ".mjs", ".jsx")) else base
        yield base
        yield from (stem + ending for ending in _SCRIPT_ENDINGS)
        yield from (posixpath.join(base, "index" + ending) for ending in _SCRIPT_ENDINGS)


def _go_files(found: Import, _importer: str, paths: Paths) -> Iterator[str]:
    parts = found.module.split("/")
    is_local_name = "." not in parts[0]
    names = dict.fromkeys([parts[-1], _go_name(found.module)])
    directories = {each for name in names for each in paths.directories_named(name)}
    # The module's own name (go.mod) is not part of the path in the workspace: the longest common tail is meant.
    tails = {"/".join(parts[start:]) for start in range(len(parts))}
    matching = [each for each in directories if each in tails or (not is_local_name and each in {"", *names})]
    if not matching and not is_local_name:  # a module that is not at the root, or a package with another name
        matching = [each for each in directories if _common_tail(each.split("/"), parts) > 0]
    for directory in sorted(matching, key=lambda each: (-len(each), each))[:1]:
        yield from (path for path in sorted(paths.files_in(directory)) if _is_go_source(path))


def _common_tail(first: list[str], second: list[str]) -> int:
    num_common = 0
    while num_common < min(len(first), len(second)) and first[-1 - num_common] == second[-1 - num_common]:
        num_common += 1
    return num_common


def _is_go_source(path: str) -> bool:
    return path.endswith(".go") and not path.endswith("_test.go")


def _rust_files(found: Import, importer: str, paths: Paths) -> Iterator[str]:
    directory, name = posixpath.split(importer)
    stem = name.removesuffix(".rs")
    own = directory if stem in {"mod", "lib", "main"} else posixpath.join(directory, stem)
    head, *rest = found.module.split("::")
    if head == "crate":
        bases = [each for each in _ancestors(importer) if posixpath.basename(each) == "src"] or [directory]
    elif head == "super":
        bases = [posixpath.dirname(own)]
        while rest and rest[0] == "super":
            bases, rest = [posixpath.dirname(bases[0])], rest[1:]
    elif head == "self":
        bases = [own]
    else:
        bases, rest = [own, directory], [head, *rest]
    # ``use a::b::C``: b may be a module or a type in the module a.
    for tail in ([*rest, *found.names[:1]], rest, rest[:-1]):
        for base in bases:
            stem = posixpath.join(base, *tail)
            yield from (f"{stem}.rs", posixpath.join(stem, "mod.rs"))
    if head == "crate" and len(rest) < 2:
        yield from (posixpath.join(base, name) for base in bases for name in _CRATE_ROOTS)
    if head not in _NO_CRATES:
        yield from _crate_files([*rest[1:], *found.names[:1]], head, importer, paths)
        yield from _crate_files(rest[1:], head, importer, paths)


def _crate_files(tail: Sequence[str], name: str, importer: str, paths: Paths) -> Iterator[str]:
    """Of a crate of the workspace, or of this one as its tests and examples call it."""
    crates = sorted(each for called in {name, name.replace("_", "-")} for each in paths.directories_named(called))
    for crate in [*(posixpath.join(each, "src") for each in crates), *_sources_above(importer)]:
        stem = posixpath.join(crate, *tail)
        yield from (f"{stem}.rs", posixpath.join(stem, "mod.rs")) if tail else (posixpath.join(crate, "lib.rs"),)


def _sources_above(importer: str) -> list[str]:
    """Where the sources of the crate are whose tests, examples or benchmarks hold ``importer``."""
    is_outside = "src" not in importer.split("/")
    return [posixpath.join(each, "src") for each in _ancestors(importer)] if is_outside else []


def _java_files(found: Import, _importer: str, paths: Paths) -> Iterator[str]:
    parts = found.module.split(".")
    if found.is_all:
        tail = "/".join(parts)
        for directory in sorted(paths.directories_named(parts[-1])):
            if directory == tail or directory.endswith("/" + tail):
                yield from sorted(paths.files_in(directory))
    for end in (len(parts), len(parts) - 1):  # a static import names a member of the class
        tail = "/".join(parts[:end]) + ".java"
        named = paths.files_named(posixpath.basename(tail))
        yield from sorted(path for path in named if path == tail or path.endswith("/" + tail))


def _c_files(found: Import, importer: str, paths: Paths) -> Iterator[str]:
    header = found.module
    yield posixpath.join(posixpath.dirname(importer), header)
    yield from (posixpath.join(root, header) for root in _SOURCE_ROOTS)
    named = paths.files_named(posixpath.basename(header))
    yield from sorted(path for path in named if path.endswith("/" + header))


def _ancestors(path: str) -> list[str]:
    """The directories above ``path``, nearest first, the workspace ("") last."""
    found = []
    while path:
        path = posixpath.dirname(path)
        found.append(path)
    return found


_Reader = Callable[[Any], Iterator[Import]]
_Resolver = Callable[[Import, str, Paths], Iterator[str]]

_READERS: dict[str, _Reader] = {
    "python": _python,
    "javascript": _script,
    "typescript": _script,
    "tsx": _script,
    "go": _go,
    "rust": _rust,
    "java": _java,
    "c": _c,
    "cpp": _c,
    "cuda": _c,
}
_RESOLVERS: dict[str, _Resolver] = {
    "python": _python_files,
    "javascript": _script_files,
    "typescript": _script_files,
    "tsx": _script_files,
    "go": _go_files,
    "rust": _rust_files,
    "java": _java_files,
    "c": _c_files,
    "cpp": _c_files,
    "cuda": _c_files,
}

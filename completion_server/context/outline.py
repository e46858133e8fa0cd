"""What a source file offers to others: signatures, members of classes, constants; by its syntax tree.

Rendered as code, as a reader would sketch it: heads without bodies, the first line of a Python docstring. What the
grammars call things is data below. Files with errors give what can still be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from completion_server.syntax import parser_for

_MAX_WHOLE_LINES = 10
_MAX_LINE_CHARS = 120
_MAX_MEMBERS = 40
_MAX_DEFINITIONS = 400
_MAX_DEPTH = 6

_CONTAINERS = frozenset({
    "class_definition", "class_declaration", "abstract_class_declaration", "class_specifier", "struct_specifier",
    "interface_declaration", "enum_declaration", "record_declaration", "impl_item", "trait_item", "struct_item",
    "enum_item", "union_specifier", "enum_specifier",
})  # fmt: skip
_FUNCTIONS = frozenset({
    "function_definition", "function_declaration", "generator_function_declaration", "method_declaration",
    "function_item", "function_signature_item", "macro_definition", "method_definition", "constructor_declaration",
    "abstract_method_signature", "method_signature", "method_elem",
})  # fmt: skip
_WHOLE = frozenset({
    "assignment", "type_alias_declaration", "type_alias_statement", "lexical_declaration", "variable_declaration",
    "type_declaration", "const_declaration", "var_declaration", "const_item", "static_item", "type_item",
    "type_definition", "alias_declaration", "preproc_def", "preproc_function_def", "declaration",
    "field_declaration", "public_field_definition", "field_definition", "property_signature", "enum_assignment",
    "enum_variant", "enum_constant", "enumerator", "property_identifier",
})  # fmt: skip
_WRAPPERS = frozenset({
    "expression_statement", "decorated_definition", "export_statement", "ambient_declaration", "preproc_ifdef",
    "preproc_if", "namespace_definition", "linkage_specification", "declaration_list", "template_declaration",
    "internal_module", "module", "statement_block", "enum_body_declarations",
})  # fmt: skip
_NAME_TYPES = frozenset({"identifier", "type_identifier", "field_identifier", "property_identifier"})
_INDENT = "    "
_CLOSED_BY_BRACE = "}"


@dataclass(frozen=True)
class Member:
    """A method or field of a class: its name and its lines, indented."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Definition:
    """One thing that a file defines at its top level. Lines are zero-based, ``end_line`` exclusive."""

    name: str
    head: str = field(repr=False)
    first_line: int = 0
    end_line: int = 0
    members: tuple[Member, ...] = field(default=(), repr=False)
    tail: str = field(default="", repr=False)
    names: frozenset[str] = frozenset()
    """Names by which it is reached: its own, and all that one declaration declares."""

    def render(self, wanted: Collection[str], max_chars: int) -> str:
        """The head and as many members as fit, those called by a name in ``wanted`` first; "" when nothing fits.

        Members stay in the order of the file.
        """
        num_chars = len(self.head) + len(self.tail)
        if num_chars > max_chars:
            return ""
        chosen: set[int] = set()
        by_use = sorted(range(len(self.members)), key=lambda index: self.members[index].name not in wanted)
        for index in by_use:
            size = len(self.members[index].text)
            if num_chars + size <= max_chars:
                chosen.add(index)
                num_chars += size
        return self.head + "".join(self.members[index].text for index in sorted(chosen)) + self.tail


def outline(text: str, language_id: str) -> tuple[Definition, ...]:
    """The top-level definitions of ``text`` in the order of the file; none for languages without a grammar."""
    parser = parser_for(language_id)
    if parser is None:
        return ()
    data = text.encode("utf-8", "replace")
    found: list[Definition] = []
    for node in _top_level(parser.parse(data).root_node):
        definition = _definition(node, data)
        if definition is not None:
            found.append(definition)
        if len(found) == _MAX_DEFINITIONS:
            break
    return tuple(found)


def _top_level(node: Any, depth: int = 0) -> Iterator[Any]:
    for child in node.named_children:
        if child.type in _WRAPPERS and depth < _MAX_DEPTH:
            yield from _top_level(child, depth + 1)
        elif child.type in _CONTAINERS or child.type in _FUNCTIONS or child.type in _WHOLE:
            yield child


def _definition(node: Any, data: bytes) -> Definition | None:
    names = _declared_names(node)
    if not names:
        return None
    first, end = node.start_point[0], node.end_point[0] + 1
    if node.type in _FUNCTIONS:
        return Definition(names[0], _function_text(node, data, ""), first, end, names=frozenset(names))
    body = node.child_by_field_name("body") if node.type in _CONTAINERS else None
    if body is None:
        return Definition(names[0], _whole_text(node, data), first, end, names=frozenset(names))
    members = tuple(_members(body, data))
    head = _squeezed(data, node.start_byte, body.start_byte)
    opens = data[body.start_byte : body.start_byte + 1] == b"{"
    head = f"{head} {{\n" if opens else f"{head}\n{_docstring(body, data, _INDENT)}"
    tail = _CLOSED_BY_BRACE + "\n" if opens else ""
    return Definition(names[0], head, first, end, members, tail, frozenset(names))


def _members(body: Any, data: bytes) -> Iterator[Member]:
    num_members = 0
    for node in _top_level_members(body):
        names = _declared_names(node)
        if not names:
            continue
        if node.type in _FUNCTIONS:
            text = _function_text(node, data, _INDENT)
        else:
            text = _INDENT + _clipped(_squeezed(data, node.start_byte, node.end_byte)) + "\n"
        yield Member(names[0], text)
        num_members += 1
        if num_members == _MAX_MEMBERS:
            return


def _top_level_members(body: Any) -> Iterator[Any]:
    for child in body.named_children:
        if child.type in _WRAPPERS:
            yield from _top_level_members(child)
        elif child.type in _FUNCTIONS or child.type in _WHOLE or child.type in _NAME_TYPES:
            yield child


def _function_text(node: Any, data: bytes, indent: str) -> str:
    """The head on one line, and a Python docstring's first line below."""
    body = node.child_by_field_name("body")
    if body is None:
        return indent + _clipped(_squeezed(data, node.start_byte, node.end_byte)) + "\n"
    head = indent + _clipped(_squeezed(data, node.start_byte, body.start_byte)) + "\n"
    return head + _docstring(body, data, indent + _INDENT)


def _docstring(body: Any, data: bytes, indent: str) -> str:
    """The first line of the string that begins ``body``, as a docstring; "" when there is none."""
    if body.type != "block" or not body.named_children:
        return ""
    first = body.named_children[0]
    if first.type == "expression_statement" and first.named_children:
        first = first.named_children[0]
    if first.type != "string":
        return ""
    content = next((child for child in first.named_children if child.type == "string_content"), None)
    text = "" if content is None else _text(data, content.start_byte, content.end_byte).strip()
    line = text.partition("\n")[0].strip()
    return f'{indent}"""{_clipped(line)}"""\n' if line else ""


def _whole_text(node: Any, data: bytes) -> str:
    """The declaration as it stands, cut after a few lines."""
    lines = _text(data, node.start_byte, node.end_byte).splitlines()
    return "".join(_clipped(line) + "\n" for line in lines[:_MAX_WHOLE_LINES])


def _declared_names(node: Any) -> list[str]:
    """What ``node`` declares; several names for ``const ( A = 1; B = 2 )`` and the like."""
    for label in ("name", "left", "type" if node.type == "impl_item" else "declarator"):
        child = node.child_by_field_name(label)
        if child is not None:
            name = _innermost_name(child)
            return [name] if name else []
    if node.type in _NAME_TYPES:
        return [node.text.decode("utf-8", "replace")]
    names = []
    for child in node.named_children:  # variable_declarator, type_spec, const_spec, ...
        inner = child.child_by_field_name("name")
        if inner is not None and (name := _innermost_name(inner)):
            names.append(name)
    return names


def _innermost_name(node: Any) -> str:
    """The identifier in a declarator such as ``*f(int)`` of C, or a plain name."""
    for _ in range(_MAX_DEPTH):
        if not node.named_children or node.type in _NAME_TYPES:
            break
        named = node.child_by_field_name("declarator") or node.child_by_field_name("name")
        named = named or node.child_by_field_name("type")
        if named is None:
            named = next((each for each in node.named_children if each.type in _NAME_TYPES), None)
        if named is None:
            break
        node = named
    text = node.text.decode("utf-8", "replace")
    return text if text.isidentifier() else ""


def _squeezed(data: bytes, start: int, end: int) -> str:
    """On one line, brackets closed as if it had been written so."""
    line = " ".join(_text(data, start, end).split())
    return line.replace("( ", "(").replace(", )", ")").replace(" )", ")")


def _clipped(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= _MAX_LINE_CHARS else line[:_MAX_LINE_CHARS] + "…"


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")

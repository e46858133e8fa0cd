"""What a source file offers to others: signatures, members of classes, constants; by its syntax tree.

Rendered as code, as a reader would sketch it: heads without bodies, the first line of a Python docstring. What the
grammars call things is data below. Files with errors give what can still be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from completion_server.bounded_parse import children_of, descendants, parse_file
from completion_server.context.definition import Definition, Member
from completion_server.syntax import parser_for

_MAX_WHOLE_LINES = 10
_MAX_LINE_CHARS = 120
_MAX_MEMBERS = 150
_MAX_SHORT_MEMBERS = 200
_MAX_SHORT_CHARS = 60
_MAX_DEFINITIONS = 400
_MAX_DEPTH = 6

_CONTAINERS = frozenset({
    "class_definition", "class_declaration", "abstract_class_declaration", "class_specifier", "struct_specifier",
    "interface_declaration", "enum_declaration", "record_declaration", "impl_item", "trait_item", "struct_item",
    "enum_item", "union_specifier", "enum_specifier", "type_spec", "annotation_type_declaration",
})  # fmt: skip
_FUNCTIONS = frozenset({
    "function_definition", "function_declaration", "generator_function_declaration", "method_declaration",
    "function_item", "function_signature_item", "macro_definition", "method_definition", "constructor_declaration",
    "abstract_method_signature", "method_signature", "method_elem", "function_signature",
    "compact_constructor_declaration", "annotation_type_element_declaration",
})  # fmt: skip
_WHOLE = frozenset({
    "assignment", "type_alias_declaration", "type_alias_statement", "lexical_declaration", "variable_declaration",
    "const_declaration", "var_declaration", "const_item", "static_item", "type_item", "type_alias",
    "type_definition", "alias_declaration", "preproc_def", "preproc_function_def", "declaration",
    "field_declaration", "public_field_definition", "field_definition", "property_signature", "enum_assignment",
    "enum_variant", "enum_constant", "enumerator", "property_identifier", "assignment_expression",
    "associated_type", "constant_declaration",
})  # fmt: skip
_WRAPPERS = frozenset({
    "expression_statement", "decorated_definition", "export_statement", "ambient_declaration", "preproc_ifdef",
    "preproc_if", "preproc_else", "preproc_elif", "namespace_definition", "linkage_specification",
    "declaration_list", "template_declaration", "internal_module", "module", "statement_block",
    "enum_body_declarations", "type_declaration",
})  # fmt: skip
_SHORT = {
    "enumerator": ",", "const_spec": ";", "enum_constant": ",", "enum_assignment": ",", "enum_variant": ",",
    "property_identifier": ",", "pair": ",", "shorthand_property_identifier": ",", "field_declaration": ";",
    "property_signature": ";", "public_field_definition": ";",
}  # fmt: skip
"""Members that may share a line, and what stands between them there."""
_NAME_TYPES = frozenset({"identifier", "type_identifier", "field_identifier", "property_identifier"})
_OBJECT_MEMBERS = frozenset({"pair", "method_definition", "shorthand_property_identifier"})
_SCRIPT_FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function"})
_GROUP_SPECS = frozenset({"const_spec", "var_spec"})
_MEMBERS = _FUNCTIONS | _WHOLE | _NAME_TYPES | _OBJECT_MEMBERS
_INDENT = "    "


def outline(text: str, language_id: str) -> tuple[Definition, ...]:
    """The top-level definitions of ``text`` in the order of the file.

    None for languages without a grammar, and where parsing takes long.
    """
    parser = parser_for(language_id)
    if parser is None:
        return ()
    data = text.encode("utf-8", "replace")
    tree = parse_file(parser, data)
    found: list[Definition] = []
    for node in () if tree is None else _top_level(tree.root_node):
        definition = _definition(node, data)
        if definition is not None:
            found.append(definition)
        if len(found) == _MAX_DEFINITIONS:
            break
    return tuple(found)


def _top_level(node: Any, depth: int = 0) -> Iterator[Any]:
    for child in children_of(node):
        if child.type in _WRAPPERS and depth < _MAX_DEPTH:
            yield from _top_level(child, depth + 1)
        elif child.type in _CONTAINERS or child.type in _FUNCTIONS or child.type in _WHOLE:
            yield child


def _definition(node: Any, data: bytes) -> Definition | None:
    names = [] if _is_of_no_use(node) else _declared_names(node)
    owner = _owner(node)
    first, end = node.start_point[0], node.end_point[0] + 1
    if node.type in _FUNCTIONS:
        text = _function_text(node, data, "")
        return Definition(names[0], text, first, end, names=frozenset(names), owner=owner) if names else None
    function = _assigned(node, _SCRIPT_FUNCTIONS)
    if function is not None and names:
        text = _function_text(node, data, "", function.child_by_field_name("body"))
        return Definition(names[0], text, first, end, names=frozenset(names), owner=owner)
    body = _body(node)
    if body is None:
        whole = frozenset(names)
        return (
            Definition(names[0], _whole_text(node, data), first, end, names=whole, owner=owner) if names else None
        )
    members = tuple(_members(body, data))
    if _is_open(node, body):
        names = [*names, *(member.name for member in members)]
    if not names:
        return None
    head, tail = _frame(node, body, data)
    return Definition(names[0], head, first, end, members, tail, frozenset(names), owner)


def _is_open(node: Any, body: Any) -> bool:
    """Whether the members' names are seen as they are, and not behind the name of what they are members of."""
    is_exports = (
        node.type == "assignment_expression" and node.child_by_field_name("left").text == b"module.exports"
    )
    return is_exports or body.type == "enumerator_list" or body.type in _GROUP_SPECS


def _is_of_no_use(node: Any) -> bool:
    """What only hands on: ``exports.x = x``, ``const x = require("x")``, ``__all__``; ``impl Trait for u8``."""
    if node.type == "assignment_expression":
        is_member = _owner(node) or _assigned(node, _SCRIPT_FUNCTIONS | {"object", "class"}) is not None
        return not is_member
    if node.type == "impl_item":
        return bool(node.child_by_field_name("type").type == "primitive_type")
    call = _assigned(node, frozenset({"call_expression"}))
    return (call is not None and call.text.startswith(b"require(")) or bool(node.text.startswith(b"__all__"))


def _frame(node: Any, body: Any, data: bytes) -> tuple[str, str]:
    """What stands before and behind the members."""
    if body.type in _GROUP_SPECS:
        return "", ""
    # ``interface {`` and the like of Go have no node for what is between the braces.
    start = body.start_byte if body.type != "interface_type" else body.start_byte + len(b"interface ")
    head = _squeezed(data, node.start_byte, start)
    if node.type == "type_spec":
        head = f"type {head}"
    if data[start : start + 1] != b"{":
        return f"{head}\n{_docstring(body, data, _INDENT)}", ""
    rest = _squeezed(data, body.end_byte, node.end_byte)
    return f"{head} {{\n", f"}} {rest}\n" if rest[:1].isalpha() else f"}}{rest}\n"


def _body(node: Any) -> Any:
    """The node whose children are the members; a group's first spec; None for what is shown as it stands."""
    if node.type in {"const_declaration", "var_declaration"}:
        specs = [each for each in _specs(node) if each.type in _GROUP_SPECS]
        return specs[0] if len(specs) > 1 else None
    if node.type in {"type_definition", "type_spec"}:
        kind = node.child_by_field_name("type")
        if kind is None:
            return None
        if kind.type == "struct_type":
            return next(iter(children_of(kind)), None)
        return kind if kind.type == "interface_type" else kind.child_by_field_name("body")
    if node.type in _CONTAINERS:
        body = node.child_by_field_name("body")
        return None if body is None or body.type == "ordered_field_declaration_list" else body
    return _assigned(node, frozenset({"object"}))


def _specs(node: Any) -> Iterator[Any]:
    for child in children_of(node):
        if child.type == "var_spec_list":
            yield from children_of(child)
        else:
            yield child


def _assigned(node: Any, kinds: frozenset[str]) -> Any:
    """The value of ``const x = value`` or ``x = value`` where it is one of ``kinds``."""
    if node.type in {"lexical_declaration", "variable_declaration"} and len(children_of(node)) == 1:
        node = children_of(node)[0]
    value = node.child_by_field_name("right" if node.type == "assignment_expression" else "value")
    is_wrapped = value is not None and value.type in {"as_expression", "satisfies_expression"}
    value = children_of(value)[0] if is_wrapped else value
    return value if value is not None and value.type in kinds else None


def _owner(node: Any) -> str:
    """The type whose method ``node`` is, where the method stands outside of it."""
    receiver = node.child_by_field_name("receiver")
    if receiver is not None:  # func (r *T[K]) M()
        return next(
            (each.text.decode("utf-8", "replace") for each in descendants(receiver, {"type_identifier"})), ""
        )
    declarator = node.child_by_field_name("declarator")
    inner = None if declarator is None else declarator.child_by_field_name("declarator")
    scope = None if inner is None else inner.child_by_field_name("scope")
    left = node.child_by_field_name("left") if node.type == "assignment_expression" else None
    if left is not None and left.type == "member_expression":  # T.prototype.m = function, T.m = ...
        scope = left.child_by_field_name("object")
    text = "" if scope is None else scope.text.decode("utf-8", "replace").removesuffix(".prototype")
    return text if text.isidentifier() and text not in {"exports", "module"} else ""


def _members(body: Any, data: bytes) -> Iterator[Member]:
    num_members = num_short = 0
    nodes = _specs(body.parent) if body.type in _GROUP_SPECS else _top_level_members(body)
    for node in nodes:
        names = _declared_names(node)
        if not names:
            continue
        for member in _members_of(node, names, data):
            num_short += bool(member.separator)
            num_members += not member.separator
            if num_members > _MAX_MEMBERS or num_short > _MAX_SHORT_MEMBERS:
                return
            yield member


def _members_of(node: Any, names: list[str], data: bytes) -> Iterator[Member]:
    """The member that ``node`` is, and the attributes that a Python constructor makes."""
    if node.type in _FUNCTIONS:
        yield Member(names[0], _function_text(node, data, _INDENT))
        if names[0] == "__init__":
            yield from _attributes(node, data)
        return
    value = node.child_by_field_name("value") if node.type == "pair" else None
    end = node.end_byte
    if value is not None:  # of an object's member the name, and what a function takes
        body = value.child_by_field_name("body") if value.type in _SCRIPT_FUNCTIONS else None
        end = value.start_byte + 1 if value.type == "object" else end if body is None else body.start_byte
    text = _squeezed(data, node.start_byte, end).rstrip(";,")
    separator = _SHORT.get(node.type, "")
    if separator and len(text) <= _MAX_SHORT_CHARS:
        is_group = node.type in _GROUP_SPECS and len(names) > 1
        yield from (
            Member(name, name if is_group else text, separator) for name in names[: None if is_group else 1]
        )
    else:
        yield from (Member(name, _INDENT + _clipped(text) + "\n") for name in names[:1])


def _attributes(node: Any, data: bytes) -> Iterator[Member]:
    """What a constructor's body assigns to ``self.x``, each once."""
    body = node.child_by_field_name("body")
    seen: set[str] = set()
    for each in () if body is None else _top_level_members(body):
        left = each.child_by_field_name("left")
        place = "" if left is None else left.text.decode("utf-8", "replace")
        name = place.removeprefix("self.")
        if name != place and name.isidentifier() and name not in seen:
            seen.add(name)
            text = _clipped(_squeezed(data, each.start_byte, each.end_byte))
            is_handed_on = text == f"self.{name} = {name}"
            yield Member(name, f"self.{name}", ",") if is_handed_on else Member(name, f"{_INDENT}{text}\n")


def _top_level_members(body: Any) -> Iterator[Any]:
    return descendants(body, _MEMBERS, _WRAPPERS)


def _function_text(node: Any, data: bytes, indent: str, body: Any = None) -> str:
    """The head on one line, and a Python docstring's first line below."""
    body = node.child_by_field_name("body") if body is None else body
    if body is None:
        text = _squeezed(data, node.start_byte, node.end_byte)
        if node.type == "macro_definition":
            text = text.partition(" {")[0]
        return indent + _clipped(text) + "\n"
    head = indent + _clipped(_squeezed(data, node.start_byte, body.start_byte)) + "\n"
    return head + _docstring(body, data, indent + _INDENT)


def _docstring(body: Any, data: bytes, indent: str) -> str:
    """The first line of the string that begins ``body``, as a docstring; "" when there is none."""
    if body.type != "block" or not children_of(body):
        return ""
    first = children_of(body)[0]
    if first.type == "expression_statement" and children_of(first):
        first = children_of(first)[0]
    if first.type != "string":
        return ""
    content = next((child for child in children_of(first) if child.type == "string_content"), None)
    text = "" if content is None else _text(data, content.start_byte, content.end_byte).strip()
    line = text.partition("\n")[0].strip()
    return f'{indent}"""{_clipped(line)}"""\n' if line else ""


def _whole_text(node: Any, data: bytes) -> str:
    """The declaration as it stands, cut after a few lines."""
    keyword = "type " if node.type in {"type_spec", "type_alias"} else ""
    lines = (keyword + _text(data, node.start_byte, node.end_byte)).splitlines()
    return "".join(_clipped(line) + "\n" for line in lines[:_MAX_WHOLE_LINES])


def _declared_names(node: Any) -> list[str]:
    """What ``node`` declares; several names for ``const ( A = 1; B = 2 )`` and the like."""
    if node.type in _GROUP_SPECS or (node.type == "field_declaration" and node.child_by_field_name("name")):
        return [name for each in node.children_by_field_name("name") if (name := _innermost_name(each))]
    for label in ("name", "key", "left", "property", "type" if node.type == "impl_item" else "declarator"):
        child = node.child_by_field_name(label)
        if child is not None and child.type in {"pattern_list", "tuple_pattern"}:
            return [each.text.decode("utf-8", "replace") for each in descendants(child, {"identifier"})]
        if child is not None:
            name = _innermost_name(child)
            return [name] if name else []
    if node.type == "field_declaration" and (embedded := node.child_by_field_name("type")) is not None:
        return [name] if (name := _innermost_name(embedded)) else []
    if node.type in _NAME_TYPES or node.type == "shorthand_property_identifier":
        return [node.text.decode("utf-8", "replace")]
    names = []
    for child in _specs(node):  # variable_declarator, type_spec, const_spec, ...
        inner = child.child_by_field_name("name")
        if inner is not None and (name := _innermost_name(inner)):
            names.append(name)
    return names


def _innermost_name(node: Any) -> str:
    """The identifier in a declarator such as ``*f(int)`` of C, or a plain name."""
    for _ in range(_MAX_DEPTH):
        if not children_of(node) or node.type in _NAME_TYPES:
            break
        named = node.child_by_field_name("declarator") or node.child_by_field_name("name")
        named = named or node.child_by_field_name("property") or node.child_by_field_name("attribute")
        named = named or node.child_by_field_name("type")
        if named is None:
            named = next((each for each in children_of(node) if each.type in _NAME_TYPES), None)
        if named is None and len(children_of(node)) == 1:
            named = children_of(node)[0]
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

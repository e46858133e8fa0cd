"""The lexicons of markup and of template languages: tags, what is between them, and code in both."""

from __future__ import annotations

import re

from completion_server.lexicon.languages import beginnings, block, quoted
from completion_server.lexicon.rules import (
    Atom,
    Block,
    BlockEnd,
    Hole,
    Holes,
    Lexicon,
    Markup,
    Rule,
    Tag,
    TagEnd,
    Text,
)

_VOID = "area base br col embed hr img input link meta param source track wbr doctype"
"""HTML 5, "Void elements"."""
_OPTIONAL = "li p td tr th dt dd option optgroup thead tbody tfoot body html head colgroup"
_HTML_RAW = {"script": "typescript", "style": "scss"}
_NAME = r"[A-Za-z_][\w.:-]*"
_TAG = Tag("<", rf"<([!?]?{_NAME})", "", r"<[!?]?(?:[A-Za-z_][\w.:-]*)?")
_TAG_END = TagEnd("<", rf"</((?:{_NAME})?)\s*>", "", rf"</?(?:{_NAME})?\s*")
_COMMENT = block("<!--", "-->")
_CDATA = Text("<", r"<!\[CDATA\[", "", r"<(?:!(?:\[C?D?A?T?A?)?)?", "]]>", is_multi_line=True, escape="")
_TAG_ENDS = (Atom("/", "/>", "", "/"), Atom(">", ">"))


def _hole(begin: str, end: str, language: str) -> Hole:
    return Hole(begin[0], re.escape(begin), "", beginnings(begin), end, language)


def _bound(behind: str) -> tuple[Rule, ...]:
    """Values of attributes that are code."""
    return tuple(Hole(quote, quote, behind, "", quote, "typescript") for quote in "\"'")


_JINJA: tuple[Rule, ...] = (block("{#", "#}"), _hole("{{", "}}", "python"), _hole("{%", "%}", "python"))
_ERB: tuple[Rule, ...] = (block("<%#", "%>"), _hole("<%", "%>", "ruby"))
_PHP = Hole("<", r"<\?(?:php\b|=)", "", r"<(?:\?p?h?)?", "?>", "php")
_SVELTE_BLOCKS: tuple[Rule, ...] = (
    Block("{", r"\{#(\w+)[^{}\r\n]{0,200}\}", "", r"\{#?\w*[^{}\r\n]*", r"{/\1}"),
    BlockEnd("{", r"\{/\w+\}", "", r"\{/?\w*"),
)
_HANDLEBARS_BLOCKS: tuple[Rule, ...] = (
    Block(
        "{", r"\{\{~?[#^]([\w.-]+)[^{}\r\n]{0,200}\}\}", "", r"\{\{?~?[#^]?[\w.-]*[^{}\r\n]{0,200}\}?", r"{{/\1}}"
    ),
    BlockEnd("{", r"\{\{/[\w.-]+\}\}", "", r"\{\{?/?[\w.-]*\}?"),
)
_BLADE: tuple[Rule, ...] = (
    block("{{--", "--}}"),
    _hole("{!!", "!!}", "php"),
    _hole("{{", "}}", "php"),
    Hole("@", r"@\w+\s*\(", "", r"@\w*\s*", ")", "php"),
)

# Name: rules of the template language, language in scripts, whether elements are in pairs as in HTML
_TEMPLATES: dict[str, tuple[Rule, ...]] = {
    "html": (),
    "vue": (_hole("{{", "}}", "typescript"), *_bound(r"(?:[@:#]|\bv-)[\w.:\-\[\]]*=$")),
    "angular": (*_bound(r"(?:[\])]|\*\w+)=$"),_hole("{{", "}}", "typescript"),
                Hole("@", r"@(?:if|for|switch|case|else\s+if|let|defer)\s*\(", "", r"@[\w ]*", ")", "typescript")),
    "svelte": (*_SVELTE_BLOCKS, _hole("{", "}", "typescript")),
    "astro": (_hole("{", "}", "typescriptreact"),),
    "jinja": _JINJA,
    "liquid": (_hole("{{", "}}", "ruby"), _hole("{%", "%}", "ruby")),
    "handlebars": (*_HANDLEBARS_BLOCKS, block("{{!--", "--}}"), block("{{!", "}}"), _hole("{{", "}}", "slashes")),
    "gotmpl": (_hole("{{", "}}", "go"),),
    "erb": _ERB,
    "ejs": (block("<%#", "%>"), _hole("<%", "%>", "typescript")),
    "heex": (block("<%#", "%>"), _hole("<%", "%>", "elixir"), _hole("{", "}", "elixir")),
    "jsp": (block("<%--", "--%>"), _hole("<%", "%>", "java"), _hole("${", "}", "java")),
    "blade": (*_BLADE, _PHP),
    "php-html": (_PHP,),
    "razor": (Hole("@", r"@\w[\w.]*\s*\(", "", r"@[\w.]*\s*", ")", "csharp"),
              Hole("@", r"@\(", "", "@", ")", "csharp"),
              Hole("@", r"@(?:code|functions)?\s*\{", "", r"@\w*\s*", "}", "csharp")),
    "mdx": (_hole("{", "}", "javascript"),),
}  # fmt: skip


def _attribute_holes(rules: tuple[Rule, ...]) -> tuple[Holes, str]:
    """What begins code in the value of an attribute, and the language of that."""
    holes = [
        rule for rule in rules if isinstance(rule, Hole) and rule.opener != rule.end and "(" not in rule.opener[2:]
    ]
    pairs = tuple((rule.opener.replace("\\", ""), rule.end) for rule in holes)
    return pairs, holes[0].language if holes else ""


def _pages(name: str, rules: tuple[Rule, ...]) -> dict[str, Lexicon]:
    """The lexicons of a language of pages: its own, and that of its tags."""
    holes: Holes
    if name == "php-html":
        holes, language = (("<?php", "?>"), ("<?=", "?>")), "php"
    else:
        holes, language = _attribute_holes(rules)
    values = [quoted(quote, is_multi_line=True, escape="", holes=holes, hole_language=language) for quote in "\"'"]
    markup = Markup(f"{name}-tag", name, frozenset(_VOID.split()), frozenset(_OPTIONAL.split()), _HTML_RAW)
    return {
        name: Lexicon(
            name,
            (_COMMENT, *(rule for rule in rules if rule.first not in "\"'"), _TAG_END, _TAG),
            "",
            markup=markup,
            is_tolerant=True,
        ),
        f"{name}-tag": Lexicon(f"{name}-tag", (*rules, *values, *_TAG_ENDS), ""),
    }


_JSX_HOLE = _hole("{", "}", "")
_PAGES: dict[str, Lexicon] = {}
for _name, _rules in _TEMPLATES.items():
    _PAGES |= _pages(_name, _rules)

MARKUP: dict[str, Lexicon] = {
    **_PAGES,
    "xml": Lexicon(
        "xml", (_COMMENT, _CDATA, _TAG_END, _TAG), "", markup=Markup("html-tag", "xml"), is_tolerant=True
    ),
    "jsx-tag": Lexicon(
        "jsx-tag",
        (_JSX_HOLE, *(quoted(quote, is_multi_line=True, escape="") for quote in "\"'"), *_TAG_ENDS),
        "",
    ),
    "jsx-content": Lexicon(
        "jsx-content",
        (_JSX_HOLE, _TAG_END, Tag("<", rf"<({_NAME})?(?=[\s/>]|$)", "", rf"<(?:{_NAME})?")),
        "",
        markup=Markup("jsx-tag", "jsx-content"),
    ),
}

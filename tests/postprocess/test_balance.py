"""Pairs stay pairs, whatever a model writes at a place where they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.lexicon import Kind, scan
from completion_server.lexicon.table import lexicon_at
from completion_server.postprocess.balance import Verdict
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.replaced import find_replaced
from completion_server.syntax import HoledText
from tests.support.places import place_at

PLACES = {
    "angular": '<a (click)="ˇ">{{ b }}</a>\n',
    "astro": "<ul>{ˇ}</ul>\n",
    "blade": '<a href="{{ ˇ }}">b</a>\n',
    "clojure": "(defn f [x]\n  (ˇ))\n",
    "cmake": 'set(A "${ˇ}")\n',
    "crystal": 'puts "a #{ˇ}"\n',
    "erb": '<p class="<%= ˇ %>">a</p>\n',
    "erlang": 'f(X) -> g([ˇ], "a").\n',
    "fortran": "call f('a', (ˇ))\n",
    "fsharp": 'printfn $"Hello {ˇ}"\n',
    "graphql": "query { a(b: [ˇ]) { c } }\n",
    "groovy": 'println "a ${f(ˇ)}"\n',
    "handlebars": "<p>{{#if a}}{{ˇ}}{{/if}}</p>\n",
    "haxe": "var m = new Map<ˇ>();\n",
    "jinja": "<p>{{ ˇ }}</p>{% if a %}b{% endif %}\n",
    "latex": "\\begin{a}\n\\b{ˇ}\n\\end{a}\n",
    "lisp": '(f \'(ˇ) "a")\n',
    "matlab": "y = f(x', 'a', [ˇ]);\n",
    "nim": 'echo fmt"a {ˇ}"\n',
    "nix": '{ a = "b ${ˇ}"; }\n',
    "ocaml": "let f c = g (ˇ) '\"'\n",
    "perl": 'print "a @{ˇ}";\n',
    "powershell": 'Write-Host "a $(ˇ)"\n',
    "svelte": "<b on:click={ˇ}>{c}</b>\n",
    "terraform": 'a = ["${ˇ}"]\n',
    "unknown": 'f("ˇ")\n',
    "vim": "call f([ˇ], 'a')\n",
    "vue": '<b @click="f(ˇ)">{{ c }}</b>\n',
    "xml": '<a b="ˇ"><c/></a>\n',
}  # languages without a grammar, so that nothing else decides
PIECES = [*"()[]{}<>\"'`,;.=", "x", " ", "1", "\n", "  ", "${", "#{", "{{", "}}", "=>", "</p>", "<p>", "/>", " + "]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)


@pytest.mark.parametrize("language_id", PLACES)
@settings(max_examples=60)
@given(TEXTS, st.booleans())
def test_what_is_shown_leaves_all_in_pairs(language_id: str, text: str, is_partial: bool) -> None:
    marked = PLACES[language_id]
    before, _, after = marked.partition("ˇ")
    lexicon = lexicon_at(language_id, before)
    place = place_at(marked, language_id=language_id, is_partial=is_partial)
    assert place.errors.num_errors is None
    assert scan(lexicon, before + after).errors == []
    shown = postprocess(text, place)
    read = scan(lexicon, before + shown.text + after[shown.num_replaced :])
    assert read.errors == []
    assert [frame for frame in read.frames if frame.closer and frame.kind is not Kind.ANGLE] == []


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "verdict"),
    [
        ("unknown", "f(ˇ)\n", "a", Verdict.FINE),
        ("unknown", "f(ˇ)\n", "(a", Verdict.OPEN),
        ("unknown", "f(ˇ)\n", "a)", Verdict.BROKEN),
        ("unknown", "f(ˇ\n", "a)", Verdict.FINE),
        ("unknown", "f(ˇ\n", "a))", Verdict.BROKEN),
        ("unknown", "f(\n  ˇ\n)\n", "a)", Verdict.BROKEN),
        ("nix", 'a = "${ˇ}"\n', "b}", Verdict.BROKEN),  # the second brace would be text
        ("nix", 'a = "ˇ\nb = "c"\n', 'd"', Verdict.FINE),  # ends the string that took in the next line
        ("nix", 'a = ˇ\nb = "c"\n', '"d', Verdict.BROKEN),
        ("xml", "<a>\n  ˇ\n</a>\n", "<b>", Verdict.BROKEN),
        ("xml", "<a>\n  ˇ\n</a>\n", "</a>", Verdict.BROKEN),
        ("plaintext", "(ˇ)\n", "a)", Verdict.FINE),
    ],
)
def test_verdicts(language_id: str, marked: str, text: str, verdict: Verdict) -> None:
    assert place_at(marked, language_id=language_id).balance.judge(text) is verdict


def test_the_end_of_a_block_that_begins_before_the_window_is_no_error() -> None:
    body = "".join(f"  a{number};\n" for number in range(60))
    place = place_at(f"f {{\n{body}ˇ\n", language_id="unknown")
    assert place.balance.judge("}") is Verdict.FINE
    assert place.balance.judge(")") is Verdict.BROKEN


def test_an_error_below_is_new_though_one_above_is_gone() -> None:
    holed = HoledText("python", "x = \ny = ", "\nz = 1\n")
    assert not holed.has_new_below("2")
    assert not HoledText("python", "x = 1\ny = ", "\nz = = 1\n").has_new_below("2")
    assert HoledText("python", "x = = 1\ny = (1, ", "\n     2)\nz = 3\n").has_new_below("3)")


@pytest.mark.parametrize(
    ("language_id", "marked", "text", "shown", "num_replaced"),
    [
        ("swift", 'print("a \\(ˇ)")\n', 'b)!")")', "b)!", 1),
        ("vue", '<b @click="ˇ"></b>\n', 'c">d</b>"></b>', 'c">d', 2),
        ("typescript", "new Set<ˇ>();\n", "string>();", "string", 0),
        ("python", "print(f'''{ˇ}''')\n", "a} b''')", "a} b", 1),
        ("javascript", "f(ˇ);\n", "a);", "a", 0),
        ("javascript", "f(ˇ);\n", "a).b();", "a).b()", 1),
        ("javascript", "f('ˇ', b);\n", "a', c);", "a", 0),  # code follows
    ],
)
def test_closers_that_are_replaced(
    language_id: str, marked: str, text: str, shown: str, num_replaced: int
) -> None:
    processed = postprocess(text, place_at(marked, language_id=language_id))
    assert (processed.text, processed.num_replaced) == (shown, num_replaced)


def test_nothing_is_replaced_where_the_text_opens_what_follows() -> None:
    assert find_replaced("a>(b)", place_at("f<ˇ>()\n", language_id="typescript")).num_chars == 0

"""The automaton over characters, and what the syntax trees say."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.lexicon import Scanner, lexicon_of, scan
from completion_server.lexicon.languages import LANGUAGES
from completion_server.lexicon.markup import MARKUP
from completion_server.lexicon.rules import compiled
from completion_server.lexicon.table import family_of, lexicon_at
from completion_server.syntax import HoledText, count_errors, has_error_behind, node_types_at, parse
from tests.support.language_ids import NEOVIM_FILE_TYPES, VSCODE_IDS


@pytest.mark.parametrize(
    ("language_id", "text", "inside", "stack"),
    [
        ("python", "f([{", "", ["(", "[", "{"]),
        ("python", "f([)", "", []),  # what is open in a bracket ends with it
        ("python", "f(]", "", ["("]),  # closes nothing that is open: ignored
        ("python", "'a\\'(", "'", []),
        ("python", "'a\\\\'(", "", ["("]),
        ("python", "'a\n(", "", ["("]),  # a quote that nobody closed ends with its line
        ("python", '"""a\n(', '"""', []),
        ("python", '"""a"" (', '"""', []),
        ("python", "# (", "\n", []),
        ("python", "# '\n(", "", ["("]),
        ("javascript", "`a\n(", "`", []),
        ("javascript", "/* (\n", "*/", []),
        ("javascript", "/* ( */ [", "", ["["]),
        ("go", "'\\'' (", "", ["("]),
        ("rust", "&'a (", "", ["("]),
        ("shellscript", "$# (", "", ["("]),
        ("plaintext", "don't (", "", ["("]),
        # Holes
        ("python", "f'{a", "", ["{"]),
        ("python", "f'{a}", "'", []),
        ("python", "f'{{a", "'", []),
        ("python", "f'{a:{b", "", ["{", "{"]),
        ("python", 'f\'{d["a"]}', "'", []),
        ("python", "f'{a\n(", "", ["("]),  # a string that nobody closed ends with its line
        ("python", "'{a", "'", []),
        ("python", "elf'{a", "'", []),
        ("python", "rb'{a", "'", []),
        ("javascript", "`${`${a", "", ["${", "${"]),
        ("javascript", "`${{a: 1}.a}", "`", []),
        ("swift", '"a \\(b(', "", ["\\(", "("]),
        ("kotlin", '"${a.map {\n', "", ["${", "{"]),
        ("ruby", "'#{a", "'", []),
        ("csharp", '$"{{{a', "", ["{"]),
        ("csharp", '@"a\\" (', "", ["("]),
        ("csharp", '$@"a\n{b', "", ["{"]),
        ("dart", "r'${a", "'", []),
        ("shellscript", '"${a:-"b', '"', ["${"]),
        # Quotes that open no string
        ("rust", "'\"' + (", "", ["("]),
        ("rust", "'\\'' + (", "", ["("]),
        ("rust", 'r#"a" (', '"#', []),
        ("haskell", "f' '\"' (", "", ["("]),
        ("ocaml", "'\\\\' (", "", ["("]),
        ("shellscript", "cat <<A <<'B'\n'\nA\n'\nB\n(", "", ["("]),
        ("shellscript", "cat <<-EOF\n'\n\tEOF\n(", "", ["("]),
        ("shellscript", "cat <<EOF\n' EOF\n(", "EOF", []),
        ("shellscript", "a <<< 'b' (", "", ["("]),
        ("shellscript", "'\\' (", "", ["("]),
        ("shellscript", 'echo \\" (', "", ["("]),
        ("ruby", "f(<<~A, 1)\n  (\nA\n[", "", ["["]),
        ("ruby", "a / b 'c", "'", []),
        ("ruby", "x =~ /'/ && (", "", ["("]),
        ("javascript", "a = /[/'`]/ + (", "", ["("]),
        ("javascript", "a / b / (", "", ["("]),
        ("javascript", 'f(/"/g, (', "", ["(", "("]),
        ("javascript", "return /'/ [", "", ["["]),
        ("perl", "m{'} (", "", ["("]),
        ("perl", "$x =~ s/'/\"/; (", "", ["("]),
        ("perl", "q(a (b) ') [", "", ["["]),
        ("perl", "=pod\n'\n\n=cut\n(", "", ["("]),
        ("php", "#[A('b')] (", "", ["("]),
        ("vim", "\" don't (\n(", "", ["("]),
        ("matlab", "a' + b.' + (", "", ["("]),
        ("matlab", "x = 'a' (", "", ["("]),
        ("sql", "'a''b' (", "", ["("]),
        ("sql", "'a\\' (", "", ["("]),
        ("verilog", "8'hFF + (", "", ["("]),
        ("vhdl", "a'event and b = '(' and (", "", ["("]),
        ("cpp", "1'000 + (", "", ["("]),
        ("cpp", 'R"x(")x" (', "", ["("]),
        ("cpp", "L'(' (", "", ["("]),
        ("lua", "[==[ ]] ]==] (", "", ["("]),
        ("lisp", "'(a #\\( ", "", ["("]),
        ("clojure", "\\( [", "", ["["]),
        ("elisp", '?\\( ?" [', "", ["["]),
        ("erlang", '$" (', "", ["("]),
        ("yaml", "a: it's (b) [", "", ["["]),
        ("yaml", "a: 'it''s' [", "", ["["]),
        ("toml", "a = '\\' #'\n[", "", ["["]),
        ("powershell", '"`"" (', "", ["("]),
        ("nim", "'\"' (", "", ["("]),
        ("swift", '#"a"b"# (', "", ["("]),
        ("elixir", '~s(a ") (', "", ["("]),
        ("r", 'r"(a")" (', "", ["("]),
        ("prolog", "0'( + (", "", ["("]),
        ("latex", "\\{ 50\\% { % {", "\n", ["{"]),
        ("vue", "<p>don't {{ 'a", "'", ["{{"]),
        ("html", "<script>if (a < '<p>') { // don't\n", "", ["{"]),
        ("javascriptreact", "x = <p>don't {(", "", ["{", "("]),
        ("a-new-language", "don't (\"(", '"', ["("]),
    ],
)
def test_scan(language_id: str, text: str, inside: str, stack: list[str]) -> None:
    scanner = scan(lexicon_of(language_id), text)
    assert (scanner.inside, scanner.stack) == (inside, stack)


def test_where_things_were_opened_and_left() -> None:
    scanner = scan(lexicon_of("python"), "'").fork()
    scanner.extend("'a' + f(b, ['c")
    scanner.finish()
    assert scanner.foreign == [(2, "'")]
    assert [frame.at for frame in scanner.frames] == [7, 11, 12]
    assert scan(lexicon_of("python"), "'a' (").foreign == []


def test_unmatched_closers() -> None:
    assert scan(lexicon_of("python"), "a) + (b) ']' ]").unmatched == [1, 13]


LANGUAGE_IDS = sorted({**LANGUAGES, **MARKUP, "latex": None, "plaintext": None, "unknown": None})


@given(st.text("ab(){}'\"\\#\n/*`<>$%-!@=[]q", max_size=40), st.lists(st.integers(1, 5), max_size=40))
def test_piece_by_piece_is_as_the_whole(text: str, sizes: list[int]) -> None:
    for language_id in LANGUAGE_IDS:
        scanner, end = Scanner(lexicon_of(language_id)), 0
        for size in sizes:
            end += size
            scanner.extend(text[:end])
        scanner.extend(text)
        scanner.finish()
        whole = scan(lexicon_of(language_id), text)
        assert (scanner.frames, scanner.closed) == (whole.frames, whole.closed), language_id
        assert (scanner.foreign, scanner.errors) == (whole.foreign, whole.errors), language_id


@pytest.mark.parametrize(
    ("language_id", "text", "openers"),
    [
        ("typescript", "new Map<string, Set<", ["<", "<"]),
        ("typescript", "a < b", []),
        ("typescript", "f(a<b) [", ["["]),
        ("typescript", "a<b && [", ["["]),
        ("typescript", "let a: Map<\n  string,\n  number\n", ["<"]),
        ("typescript", "i<n\n", []),
        ("typescript", "f<(a) => b>(", ["("]),
        ("java", "List<? extends A> a = new B<>(", ["("]),
        ("java", "for (int i=0; i<n; i++) {", ["{"]),
        ("cpp", "#include <vector>\nstd::map<int, std::vector<int>> a; (", ["("]),
        ("cpp", "a << b; a->b; (", ["("]),
        ("rust", "fn f<'a, T: A<B>>(a: fn() -> C) [", ["["]),
        ("go", "a<b (", ["("]),
        ("html", "<ul><li>a<li>b</ul><br><p", ["<p"]),
        ("html", "<a b='>'><img/><!-- <p> --><i>", ["<a", "<i"]),
        ("svelte", "{#if a}<p>{b}</p>", ["{#if a}"]),
        ("latex", "\\begin{a}\\begin{b}\\end{b}", ["\\begin{a}"]),
        ("javascriptreact", "return <A b={c > 1} /> || <><B.C>", ["<", "<B.C"]),
        ("typescriptreact", "const f = <T,>(a: T) => (", ["("]),
        ("php", "<?php f(", ["<?php", "("]),
        ("php", "if (a): ?><p><?php endif; ?></p><b>", ["?>", "<b"]),
    ],
)
def test_angles_tags_and_blocks(language_id: str, text: str, openers: list[str]) -> None:
    scanner = scan(lexicon_at(language_id, text), text)
    assert [frame.opener for frame in scanner.frames] == openers
    assert scanner.errors == []


@pytest.mark.parametrize(
    ("language_id", "text", "errors"),
    [
        ("python", "f(])", [2]),
        ("python", "f([)", [3]),
        ("python", "'a\n'b'", [2]),
        ("python", "f'{a'\n", [5, 5]),
        ("typescript", "a>;", [1]),
        ("html", "<p>a</b>", [4]),
        ("shellscript", "case a in b) c;; esac", []),
    ],
)
def test_what_has_no_partner(language_id: str, text: str, errors: list[int]) -> None:
    assert [event.at for event in scan(lexicon_of(language_id), text).errors] == errors


@pytest.mark.parametrize("language_id", sorted(VSCODE_IDS | NEOVIM_FILE_TYPES))
def test_every_language_that_an_editor_names_has_a_lexicon(language_id: str) -> None:
    assert family_of(language_id), "an editor names this language: give it a lexicon or a family"
    lexicon_of(language_id).marks("")


@pytest.mark.parametrize(
    ("language_id", "family"),
    [
        ("javascript.jsx", "javascript"),
        ("yaml.ansible", "yaml"),
        ("vue-html", "html"),
        ("Python", "python"),
        ("markdown.pandoc", "prose"),
        ("", ""),
        ("a-new-language", ""),
    ],
)
def test_families(language_id: str, family: str) -> None:
    assert family_of(language_id) == family
    assert scan(lexicon_of(language_id), "f[").stack == ([] if family == "html" else ["["])


@pytest.mark.parametrize("name", LANGUAGE_IDS)
def test_expressions_of_rules_are_right(name: str) -> None:
    for rule in lexicon_of(name).rules:
        compiled(rule.behind), compiled(rule.unfinished)
        assert compiled(rule.opener).match("") is None
        assert rule.first


@pytest.mark.parametrize("name", LANGUAGE_IDS)
def test_what_is_open_is_bounded_and_long_lines_are_read_in_linear_time(name: str) -> None:
    lexicon = lexicon_of(name)
    for text in ("([{" * 3_000, "'\"`" * 3_000, "".join(lexicon.rules_at) * 1_000):
        assert len(scan(lexicon, text).frames) <= 400


@pytest.mark.parametrize(
    ("language_id", "text", "name"),
    [
        ("vue", "  const a = f(1);\n  b({\n", "typescript"),
        ("vue", "  a();\n</script>\n<p>", "typescript"),
        ("vue", "<p>\n  a\n", "vue"),
        ("php", "<p>a</p>\n", "php-html"),
        ("php", "f(1);\n", "php"),
        ("python", "<p>", "python"),
    ],
)
def test_a_part_of_a_page_begins_where_it_looks_like(language_id: str, text: str, name: str) -> None:
    assert lexicon_at(language_id, text).name == name


@pytest.mark.parametrize(
    ("language_id", "text", "num_errors"),
    [("python", "x = 1\n", 0), ("python", "x = = 1\n", 1), ("javascript", "f(1;", 1), ("plaintext", "x", None)],
)
def test_count_errors(language_id: str, text: str, num_errors: int | None) -> None:
    assert count_errors(language_id, text) == num_errors


def test_offsets_are_characters_not_bytes() -> None:
    assert node_types_at("python", "'😀é' # c", 7)[0] == "comment"


def test_long_texts_are_not_parsed() -> None:
    assert parse("python", "x = 1\n" * 10_000) is None


def test_each_thread_has_parsers_of_its_own() -> None:
    """Parsers are not for two threads at once."""
    counts: list[int | None] = []

    def count_often() -> None:
        counts.extend(count_errors("python", f"x = = {number}\n") for number in range(200))

    threads = [threading.Thread(target=count_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 800


PIECES = ["x", " = ", "(", ")", "{", "}", "'", '"""', "\n", "    ", "return", ":", ",", "é", "if", "[", "#"]
SOME_TEXT = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(
    st.sampled_from(["python", "javascript", "json"]),
    SOME_TEXT,
    SOME_TEXT,
    SOME_TEXT,
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_holed_text_counts_as_the_whole_text_would(
    language_id: str, before: str, middle: str, after: str, num_before: int, num_after: int
) -> None:
    holed = HoledText(language_id, before, after)
    whole = before[: len(before) - num_before] + middle + after[num_after:]
    if len(before) >= num_before:
        assert holed.count_with(middle, num_before, num_after) == count_errors(language_id, whole)
    assert holed.num_errors == count_errors(language_id, before + after)


def test_a_holed_text_that_no_grammar_reads() -> None:
    assert HoledText("plaintext", "a", "b").num_errors is None
    assert HoledText("python", "a" * 7000, "b" * 7000).count_with("c") is None


def test_errors_behind_a_place() -> None:
    assert has_error_behind("python", "x = = 1\ny = 'a\n", 12)
    assert not has_error_behind("python", "x = = 1\ny = 'a'\n", 12)
    assert not has_error_behind("plaintext", "x = = 1\n", 0)

"""The lexicons of programming languages, by name. Several languages of one family share one."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from completion_server.lexicon.rules import Atom, HereDocument, Hole, Holes, Lexicon, Markup, Rule, Tag, Text

_BEHIND_NO_WORD = r"(?<!\w)$"
_WORD_START = r"(?:^|[\s;|&()`])$"
DOLLAR: Holes = (("${", "}"),)
_HASH: Holes = (("#{", "}"),)


def line(sign: str, behind: str = "") -> Text:
    """A comment up to the end of its line."""
    return Text(sign[0], re.escape(sign), behind, beginnings(sign), kind="comment", escape="")


def block(begin: str, end: str, *, nests: bool = False) -> Text:
    """A comment with an end."""
    return Text(
        begin[0],
        re.escape(begin),
        "",
        beginnings(begin),
        end,
        "comment",
        is_multi_line=True,
        escape="",
        nests=nests,
    )


def beginnings(sign: str) -> str:
    """Matches the proper beginnings of ``sign``."""
    return "|".join(re.escape(sign[:size]) for size in range(1, len(sign)))


def quoted(quote: str, **more: Any) -> Text:
    """A string between two equal quotes."""
    return dataclasses.replace(Text(quote[0], quote, "", beginnings(quote), quote), **more)


def triple(quote: str, **more: Any) -> Text:
    """A string of several lines between three quotes."""
    return quoted(quote * 3, is_multi_line=True, **more)


def prefixed(prefix: str, quote: str, **more: Any) -> Text:
    """A string whose opening quote stands behind what ``prefix`` (look-behind allowed) matches."""
    return dataclasses.replace(quoted(quote), opener=f"{prefix}{quote}", **more)


def heredoc(opener: str, unfinished: str, end: str, **more: Any) -> HereDocument:
    rule = HereDocument("<", opener, "", unfinished, end, is_multi_line=True, escape="")
    return dataclasses.replace(rule, **more)


SLASHES = (line("//"), block("/*", "*/"))
_NESTED = (line("//"), block("/*", "*/", nests=True))
_DOUBLE, _SINGLE = quoted('"'), quoted("'")
_DOUBLE_LINES, _SINGLE_LINES = quoted('"', is_multi_line=True), quoted("'", is_multi_line=True)
HASH = line("#")
_WORD_HASH = line("#", _WORD_START)
_CHARACTER = Atom(
    "'",
    r"'(?:\\(?:u\{?[0-9A-Fa-f_]{1,8}\}?|x[0-9A-Fa-f]+|\d{1,3}|\^?.)|[^'\\\r\n])'",
    r"(?:^|\W|\b[bBuUL])$",
    r"'(?:\\[^'\r\n]{0,12}'?|[^\\\r\n]?)",
)
"""``'x'`` where a lone quote is no string: a lifetime, a prime, an attribute."""

_AFTER_OPERATOR = (
    r"(?:^|[=(,:;!&|?{}\[+\-*~^<>%\n]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|yield|await"
    r"|and|or|not|if|unless|when|while|until|then|split|grep|match))\s*$"
)
_REGEX = Text("/", r"/(?![/*])", _AFTER_OPERATOR, "/", "/", has_sets=True)

_TYPES: dict[str, Any] = {"angle_after": r"[\w:.$]$", "angle_inside": ">?@[\n\r("}
_TYPESCRIPT: dict[str, Any] = {"angle_after": r"(?:[\w$.]|[=(,:?]\s*)$", "angle_inside": ">[{('\"`\n\r"}

_F3 = r"(?:(?<=(?<!\w)[fFtT])|(?<=(?<!\w)[fFtT][rRbB])|(?<=(?<!\w)[rRbB][fFtT]))"
_BRACES: Holes = (("{", "}"),)
_TWO_BRACES = ("{{", "}}")
_PYTHON = (
    HASH,
    *(prefixed(_F3, quote, is_multi_line=True, holes=_BRACES, literals=_TWO_BRACES, unfinished=quote[0] + "{1,2}")
      for quote in ('"""', "'''")),
    triple('"'),
    triple("'"),
    *(prefixed(_F3, quote, holes=_BRACES, literals=_TWO_BRACES) for quote in "\"'"),
    _DOUBLE,
    _SINGLE,
)  # fmt: skip
_TEMPLATE = quoted("`", is_multi_line=True, holes=DOLLAR)
_JAVASCRIPT = (*SLASHES, _TEMPLATE, _DOUBLE, _SINGLE, _REGEX)
_JSX_TAG = Tag(
    "<",
    r"<(?:>|([A-Za-z_][\w.:-]*)(?=\s*/?>|\s+(?!extends\b)[\w{/:-]|\s*$))",
    r"(?:^|[=(,:;&|?{}\[>\n]|\b(?:return|default|yield))\s*$",
    r"<(?:[A-Za-z_][\w.:-]*\s*)?",
)
_SWIFT_HOLES: Holes = (("\\(", ")"),)
_CSHARP_HOLES: dict[str, Any] = {"holes": _BRACES, "literals": _TWO_BRACES}
_RUBY_SIGIL = Text("%", r"%[wWiIqQrxs]?([\[({<|!/])", r"(?:^|[=(,\[{\s])$", r"%[wWiIqQrxs]?", r"\1",
                   is_multi_line=True, holes=_HASH, mirrors=True)  # fmt: skip
_RUBY_HEREDOC = heredoc(
    r"<<[~-]?(['\"`]?)([A-Z_]\w*)\1", r"<(?:<[~-]?(?:['\"`]?\w*)?)?", r"\2", holes=_HASH, escape="\\"
)
_SHELL_DOUBLE = dataclasses.replace(_DOUBLE_LINES, holes=(("${", "}"), ("$(", ")")))
_SHELL_SINGLE = quoted("'", is_multi_line=True, escape="")
_SHELL = (
    _WORD_HASH,
    heredoc(r"<<-?\s*(?:'([A-Za-z_]\w*)'|\"(?P<b>[A-Za-z_]\w*)\"|\\?(?P<c>[A-Za-z_]\w*))",
            r"<(?:<-?\s*['\"\\]?\w*['\"]?)?",
            r"\1\g<b>\g<c>", holes=(("${", "}"), ("$(", ")")), escape="\\"),
    Atom("<", r"<<<", "", "<{1,2}"),
    Atom("\\", r"\\(?s:.)", "", r"\\"),
    Atom("$", r"\$#", "", r"\$"),
    Text("$", r"\$'", "", r"\$", "'", is_multi_line=True),
    _SHELL_DOUBLE,
    _SHELL_SINGLE,
    quoted("`", is_multi_line=True),
)  # fmt: skip
_PERL_TWO_PARTS = Text("sty", r"(?:s|y|tr)([/,|!#:])(?:\\.|(?!\1)[^\\\r\n]){0,200}\1", r"(?:=~\s*|[\s;(])$",
                       r"(?:s|y|tr?)(?:[/,|!#:][^\r\n]*)?", r"\1")  # fmt: skip
_PERL_QUOTE = Text("qmsytr", r"\b(?:q[qwrx]?|m|s|y|tr)(?:\s*([{(\[<])|([/!|,#]))", r"(?:^|[^\w$@%&>\-{])$",
                   r"(?:q[qwrx]?|m|s|y|tr?)\s*", r"\1\2", mirrors=True, is_multi_line=True)  # fmt: skip
_LINE_START = r"(?:^|[\r\n])$"
_DATA_BEHIND = Text(
    "_", r"__(?:END|DATA)__\b", _LINE_START, r"_[A-Z_]*", "", "comment", is_multi_line=True, escape=""
)
_POD = Text("=", r"=[a-z]\w*", _LINE_START, r"=[a-z]*", "\n=cut", "comment", is_multi_line=True, escape="")
_VERBATIM: dict[str, Any] = {"escape": "", "literals": ('""',), "is_multi_line": True}
_ELIXIR_SIGIL = Text("~", r"~[a-zA-Z]+([\[({</|\"'])", "", r"~[a-zA-Z]*", r"\1", mirrors=True, is_multi_line=True,
                     holes=_HASH)  # fmt: skip
_LONG_LUA = Text("[", r"\[(={0,16})\[", "", r"\[=*", r"]\1]", is_multi_line=True, escape="")
_LONG_LUA_COMMENT = Text(
    "-", r"--\[(={0,16})\[", "", r"-(?:-(?:\[=*)?)?", r"]\1]", "comment", is_multi_line=True, escape=""
)
_RAW_CPP = Text(
    '"', r"\"([^\s()\\\"]{0,16})\(", r"R$", r"\"[^\s()\\\"]{0,16}", r")\1" + '"', is_multi_line=True, escape=""
)
_RAW_RUST = Text('"#', r"(#{0,16})\"", r"(?:\b|b|c)r$", r"#*", r'"\1', is_multi_line=True, escape="")
_RAW_SWIFT = Text("#", r"(#{1,16})\"", "", r"#+", r'"\1', escape="")
_DOUBLED: dict[str, Any] = {"escape": "", "literals": ("''",)}
_SQL = (
    line("--"), block("/*", "*/", nests=True),
    Text("$", r"\$(\w*)\$", "", r"\$\w*", r"$\1$", is_multi_line=True, escape=""),
    quoted("'", is_multi_line=True, escape="", literals=("''",)),
    quoted('"', escape="", literals=('""',)), quoted("`", escape=""),
)  # fmt: skip
_INCLUDED = Text("<", "<", r"(?:^|\n)\s*#\s*(?:include|import|include_next)\s*$", "", ">", escape="")
_C = (*SLASHES, _INCLUDED, _RAW_CPP, _DOUBLE, quoted("'", behind=r"(?:^|[^\w]|\b[LuU]|\bu8|\bcase|\breturn)$"))
_JVM = (*SLASHES, triple('"'), _DOUBLE, _SINGLE)
_KOTLIN = (*_NESTED, triple('"', holes=DOLLAR, escape=""), quoted('"', holes=DOLLAR), _SINGLE)
_LISP = (line(";"), block("#|", "|#", nests=True), Atom("#", r"#\\(?:[A-Za-z]+|(?s:.))", "", r"#\\?"),
         Atom("\\", r"\\(?s:.)", "", r"\\"), _DOUBLE_LINES)  # fmt: skip
_DATA_SINGLE = quoted("'", behind=r"(?:^|[\s\[{(,:=!])$", escape="", literals=("''",))
_ML = (block("(*", "*)", nests=True), _CHARACTER, _DOUBLE_LINES)
_HASKELL = (line("--"), block("{-", "-}", nests=True), _CHARACTER, _DOUBLE)

_RULES: dict[str, tuple[Rule, ...]] = {
    "c": _C,
    "cobol": (line("*>"), quoted("'", escape=""), quoted('"', escape="")),
    "coffeescript": (block("###", "###"), HASH, triple('"', holes=_HASH), triple("'"), quoted('"', holes=_HASH),
                     _SINGLE, dataclasses.replace(_REGEX, opener=r"/(?![/*\s])")),
    "crystal": (HASH, _RUBY_HEREDOC, _CHARACTER, quoted('"', is_multi_line=True, holes=_HASH),
                quoted("`", holes=_HASH), _RUBY_SIGIL),
    "css": (block("/*", "*/"), _DOUBLE, _SINGLE),
    "scss": (*SLASHES, Hole("#", r"#\{", "", "#", "}"), _DOUBLE, _SINGLE),
    "cmake": (block("#[[", "]]"), HASH, Atom("\\", r"\\(?s:.)", "", r"\\"),
              quoted('"', is_multi_line=True, holes=DOLLAR)),
    "clojure": (line(";"), Atom("\\", r"\\(?:[A-Za-z]+|(?s:.))", "", r"\\"), _DOUBLE_LINES),
    "elisp": (line(";"), Atom("?", r"\?(?:\\.|[^\w\s\\])", r"(?<!\w)$", r"\?\\?"),
              Atom("\\", r"\\(?s:.)", "", r"\\"),
              _DOUBLE_LINES),
    "elixir": (HASH, Text("~", r"~[a-zA-Z]+(\"\"\"|''')", "", r"~[a-zA-Z]*(?:\"{1,2}|'{1,2})?", r"\1",
                    is_multi_line=True, holes=_HASH),
               _ELIXIR_SIGIL, triple('"', holes=_HASH), triple("'", holes=_HASH),
               Atom("?", r"\?(?:\\.|[^\w\s])", r"(?<!\w)$", r"\?\\?"),
               quoted('"', is_multi_line=True, holes=_HASH),
               quoted("'", behind=_BEHIND_NO_WORD, holes=_HASH)),
    "erlang": (line("%"), Atom("$", r"\$(?:\\.|.)", "", r"\$\\?"), _DOUBLE_LINES, _SINGLE),
    "fish": (_WORD_HASH, Atom("\\", r"\\(?s:.)", "", r"\\"), quoted('"', is_multi_line=True, holes=(("$(", ")"),)),
             _SINGLE_LINES),
    "fortran": (line("!"), quoted("'", behind=_BEHIND_NO_WORD, **_DOUBLED), quoted('"', escape="")),
    "fsharp": (line("//"), block("(*", "*)", nests=True),
               Text('"', '"""', r"\$+@?$", '"{1,2}', '"""', is_multi_line=True, escape="", **_CSHARP_HOLES),
               triple('"'), Text('"', '"', r"(?:\$|\$@|@\$)$", "", '"', is_multi_line=True, **_CSHARP_HOLES),
               Text('"', '"', "@$", "", '"', **_VERBATIM), _CHARACTER, _DOUBLE_LINES),
    "go": (*SLASHES, quoted("`", is_multi_line=True, escape=""), _DOUBLE, _SINGLE),
    "groovy": (*SLASHES, triple('"', holes=DOLLAR), triple("'"), quoted('"', holes=DOLLAR), _SINGLE),
    "hash": (HASH, quoted('"', holes=DOLLAR), _DATA_SINGLE),
    "haskell": _HASKELL,
    "hcl": (HASH, *SLASHES, heredoc(r"<<[~-]?(\w+)", r"<(?:<[~-]?\w*)?", r"\1", holes=(("${", "}"), ("%{", "}"))),
            quoted('"', holes=(("${", "}"), ("%{", "}")), literals=("$${", "%%{"))),
    "ini": (line("#", r"(?:^|\s)$"), line(";", r"(?:^|\s)$"), _DOUBLE, _DATA_SINGLE),
    "java": _JVM,
    "javascript": _JAVASCRIPT,
    "json": (*SLASHES, _DOUBLE),
    "julia": (block("#=", "=#", nests=True), HASH, triple('"', holes=(("$(", ")"),)), _CHARACTER,
              quoted('"', is_multi_line=True, holes=(("$(", ")"),)), quoted("`", holes=(("$(", ")"),))),
    "kotlin": _KOTLIN,
    "lisp": _LISP,
    "lua": (_LONG_LUA_COMMENT, line("--"), _LONG_LUA, _DOUBLE, _SINGLE),
    "luau": (_LONG_LUA_COMMENT, line("--"), _LONG_LUA, quoted("`", holes=_BRACES), _DOUBLE, _SINGLE),
    "make": (HASH, Atom("\\", r"\\(?s:.)", "", r"\\"),
             quoted('"', holes=(("${", "}"), ("$(", ")"))), quoted("'", behind=_BEHIND_NO_WORD, escape="")),
    "matlab": (block("%{", "%}"), line("%"), HASH, quoted('"', escape="", literals=('""',)),
               quoted("'", behind=r"(?:^|[^\w)\]}'.])$", **_DOUBLED)),
    "nim": (block("#[", "]#", nests=True), HASH,
            Text('"', '"""', r"(?<!\w)(?:fmt|f|&)$|&$", '"{1,2}', '"""', is_multi_line=True, escape="",
                 **_CSHARP_HOLES),
            triple('"', escape=""), Text('"', '"', r"(?<!\w)(?:fmt|f)$|&$", "", '"', **_CSHARP_HOLES),
            _DOUBLE, _CHARACTER),
    "nix": (HASH, block("/*", "*/"), quoted("''", is_multi_line=True, escape="", holes=DOLLAR,
                                             literals=("'''", "''$"),
                                            unfinished="'"), quoted('"', is_multi_line=True, holes=DOLLAR)),
    "ocaml": _ML,
    "pascal": (line("//"), block("(*", "*)"), block("{", "}"), quoted("'", **_DOUBLED)),
    "perl": (HASH, _POD, _DATA_BEHIND,
             heredoc(r"<<~?(?:'([A-Za-z_]\w*)'|\"(?P<b>[A-Za-z_]\w*)\"|(?P<c>[A-Z_]\w*))",
                           r"<(?:<~?['\"]?\w*['\"]?)?",
                           r"\1\g<b>\g<c>", holes=(("${", "}"), ("@{", "}"))),
             Atom("$", r"\$[#'\"&`/;\]]", "", r"\$"), _PERL_TWO_PARTS, _PERL_QUOTE,
             quoted('"', is_multi_line=True, holes=(("${", "}"), ("@{", "}"))), _SINGLE_LINES, _REGEX),
    "php": (line("//"), Atom("#", r"#(?=\[)", "", "#"), HASH, block("/*", "*/"),
            heredoc(r"<<<\s*(?:'([A-Za-z_]\w*)'|\"(?P<b>[A-Za-z_]\w*)\"|(?P<c>[A-Za-z_]\w*))",
                    r"<(?:<(?:<\s*['\"]?\w*['\"]?)?)?",
                    r"\1\g<b>\g<c>", holes=(("{$", "}"), ("${", "}")), escape="\\"),
            Hole("?", r"\?>", "", r"\?", "", "php-html"),
            quoted('"', is_multi_line=True, holes=(("{$", "}"), ("${", "}"))), _SINGLE_LINES, quoted("`")),
    "powershell": (block("<#", "#>"), line("#", _WORD_START),
                   Text("@", r"@\"(?=[\r\n])", "", r"@\"?", '\n"@', is_multi_line=True, escape="`",
                        holes=(("$(", ")"),)),
                   Text("@", r"@'(?=[\r\n])", "", r"@'?", "\n'@", is_multi_line=True, escape=""),
                   Atom("`", r"`(?s:.)", "", "`"), quoted('"', is_multi_line=True, escape="`", literals=('""',),
                                                          holes=(("$(", ")"), ("${", "}"))),
                   quoted("'", is_multi_line=True, **_DOUBLED)),
    "prolog": (line("%"), block("/*", "*/"), Atom("0", r"0'(?:\\.|''|.)", "", r"0'?\\?"), _DOUBLE, _SINGLE),
    "python": _PYTHON,
    "r": (HASH, Text("\"'", r"([\"'])(-{0,16})\(", r"[rR]$", r"[\"']-*", r")\2\1", is_multi_line=True, escape=""),
          _DOUBLE_LINES, _SINGLE_LINES, quoted("`")),
    "ruby": (Text("=", r"=begin\b", _LINE_START, r"=b?e?g?i?n?", "\n=end", "comment",
                  is_multi_line=True, escape=""), HASH, _DATA_BEHIND, _RUBY_HEREDOC,
             Atom("?", r"\?(?:\\.|[^\s\w])(?!\w)", r"(?:^|[\s(,\[=])$", r"\?\\?.?"), _RUBY_SIGIL,
             Text("/", r"/(?![\s=])", r"(?:^|[=(,:;!&|?{}\[+\-*~^<>%\n]\s*|"
                  r"\b(?:if|unless|when|and|or|not|return|in|while|until)\s+)$|"
                  r"[a-z_]\w*\s$", "/", "/", holes=_HASH),
             quoted('"', is_multi_line=True, holes=_HASH), _SINGLE_LINES, quoted("`", holes=_HASH)),
    "rust": (*_NESTED, _RAW_RUST, _CHARACTER, _DOUBLE_LINES),
    "scala": (*_NESTED, triple('"', holes=DOLLAR, escape=""), quoted('"', holes=DOLLAR), _CHARACTER),
    "shell": _SHELL,
    "slashes": (*SLASHES, _DOUBLE, _SINGLE),
    "semicolon": (line(";"), _DOUBLE, quoted("'", behind=_BEHIND_NO_WORD)),
    "solidity": (*SLASHES, _DOUBLE, _SINGLE),
    "sql": _SQL,
    "swift": (*_NESTED, Text("#", r"(#{1,16})\"\"\"", "", r"#+\"{0,2}", r'"""\1', is_multi_line=True, escape=""),
              _RAW_SWIFT,
              triple('"', holes=_SWIFT_HOLES), quoted('"', holes=_SWIFT_HOLES)),
    "tcl": (line("#", r"(?:^|[\n;])\s*$"), Atom("\\", r"\\(?s:.)", "", r"\\"), _DOUBLE_LINES),
    "toml": (HASH, triple('"'), triple("'", escape=""), _DOUBLE, quoted("'", escape="")),
    "tick": (line("--"), _CHARACTER, quoted('"', escape="", literals=('""',))),
    "verilog": (*SLASHES, _DOUBLE),
    "vb": (line("'"), quoted('"', escape="", literals=('""',), behind=r"(?<!\$)$"),
           Text('"', '"', r"\$$", "", '"', escape="", literals=('""', *_TWO_BRACES), holes=_BRACES)),
    "vim": (line('"', r"(?:^|\n)\s*$"), _DOUBLE, quoted("'", behind=r"(?:^|\W)$", escape="", literals=("''",))),
    "yaml": (line("#", r"(?:^|\s)$"), quoted('"', behind=r"(?:^|[\s\[{(,:=!])$"), _DATA_SINGLE),
    "zig": (line("//"), Text("\\", r"\\\\", "", r"\\", "", escape=""), _DOUBLE, _SINGLE),
    "csharp": (
        *SLASHES,
        Text('"', '"""', r"\$+$", '"{1,2}', '"""', is_multi_line=True, escape="", **_CSHARP_HOLES),
        triple('"', escape=""),
        Text('"', '"', r"(?:\$@|@\$)$", "", '"', is_multi_line=True, escape="", holes=_BRACES,
             literals=('""', *_TWO_BRACES)),
        Text('"', '"', r"\$$", "", '"', **_CSHARP_HOLES),
        Text('"', '"', "@$", "", '"', **_VERBATIM),
        _DOUBLE,
        _SINGLE,
    ),
    "dart": (
        *_NESTED,
        *(Text(q, q * 3, r"(?<!\w)r$", f"{q}{{1,2}}", q * 3, is_multi_line=True, escape="") for q in "\"'"),
        *(Text(q, q, r"(?<!\w)r$", "", q, escape="") for q in "\"'"),
        *(triple(q, holes=DOLLAR) for q in "\"'"),
        *(quoted(q, holes=DOLLAR) for q in "\"'"),
    ),
    "d": (*SLASHES, block("/+", "+/", nests=True), quoted("`", is_multi_line=True, escape=""),
          _DOUBLE_LINES, _SINGLE),
}  # fmt: skip

_WITH_TYPES = ("c", "java", "kotlin", "swift", "csharp", "dart")

LANGUAGES: dict[str, Lexicon] = {
    **{name: Lexicon(name, rules) for name, rules in _RULES.items()},
    **{name: Lexicon(name, _RULES[name], **_TYPES) for name in _WITH_TYPES},
    "rust": Lexicon("rust", _RULES["rust"], angle_after=r"[\w:]$", angle_inside=">'[(&*{0123456789\n\r"),
    "objc": Lexicon("objc", _RULES["c"], **_TYPES),
    "cpp": Lexicon("cpp", _RULES["c"], angle_after=r"(?:[\w:]|\btemplate\s*)$", angle_inside=">(:!0123456789\n\r"),
    "java": Lexicon("java", _JVM, angle_after=r"(?:[\w.]|\b(?:static|public|private|protected|final)\s)$",
                    angle_inside=">?@\n\r"),
    "javascript": Lexicon("javascript", (*_JAVASCRIPT, _JSX_TAG), markup=Markup("jsx-tag", "jsx-content")),
    "shell": Lexicon("shell", _SHELL, lone=")"),
    "yaml": Lexicon("yaml", _RULES["yaml"], "[{"),
    "typescript": Lexicon("typescript", _JAVASCRIPT, **_TYPESCRIPT),
    "slash-types": Lexicon("slash-types", _RULES["slashes"], **_TYPES),
    "groovy": Lexicon("groovy", _RULES["groovy"], **_TYPES),
    "typescriptreact": Lexicon(
        "typescriptreact", (*_JAVASCRIPT, _JSX_TAG), markup=Markup("jsx-tag", "jsx-content"),
        angle_after=r"[\w$.]$", angle_inside=">[{('\"`\n\r",
    ),
}  # fmt: skip

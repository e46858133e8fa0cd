"""Which lexicon an editor's language id stands for: its own, that of its family, or a safe one."""

from __future__ import annotations

import re

from completion_server.lexicon.languages import DOLLAR, LANGUAGES, line, quoted
from completion_server.lexicon.markup import MARKUP
from completion_server.lexicon.rules import Atom, Block, BlockEnd, Lexicon

_LATEX = Lexicon(
    "latex",
    (
        line("%"),
        Block("\\", r"\\begin\{(\w+\*?)\}", "", r"\\(?:b(?:e(?:g(?:i(?:n(?:\{\w*\*?)?)?)?)?)?)?", r"\\end{\1}"),
        BlockEnd("\\", r"\\end\{\w+\*?\}", "", r"\\(?:e(?:n(?:d(?:\{\w*\*?)?)?)?)?"),
        Atom("\\", r"\\[^\w\s]", "", r"\\"),
    ),
    brackets="{",
    is_tolerant=True,
)
_PROSE = Lexicon("prose", is_prose=True)
_UNKNOWN = Lexicon("unknown", (quoted('"', holes=DOLLAR),))
_ALL: dict[str, Lexicon] = {**LANGUAGES, **MARKUP, "latex": _LATEX, "prose": _PROSE, "unknown": _UNKNOWN}

_IDS = {
    "angular": "angular htmlangular",
    "astro": "astro",
    "blade": "blade",
    "c": "c arduino glsl hlsl metal opencl shaderlab wgsl cg yacc bison lex flex lemon rpcgen slang ispc",
    "clojure": "clojure edn",
    "cmake": "cmake cmakecache",
    "cobol": "cobol",
    "coffeescript": "coffeescript coffee litcoffee livescript ls",
    "cpp": "cpp cuda cuda-cpp c++ ch",
    "crystal": "crystal",
    "csharp": "csharp cs",
    "css": "css",
    "d": "d",
    "dart": "dart",
    "ejs": "ejs",
    "elisp": "elisp emacs-lisp",
    "elixir": "elixir",
    "erb": "erb eruby html.erb ruby-erb",
    "erlang": "erlang",
    "fish": "fish",
    "fortran": "fortran fortran-modern fortran_fixed-form fortran_free-form",
    "fsharp": "fsharp",
    "go": "go templ gomod odin v vlang gowork",
    "gotmpl": "gotmpl gohtmltmpl gotexttmpl go-template helm",
    "groovy": "groovy gradle jenkinsfile jenkins",
    "handlebars": "handlebars mustache html.handlebars hbs glimmer",
    "hash": "awk bitbake bzl bazel starlark conf cfg config meson nginx apache apacheconf sshconfig sshdconfig"
    " gitconfig gitattributes gitignore ignore robots properties jproperties dotenv env robot raku perl6"
    " gdscript gdresource gnuplot tmux sed procfile kdl just rego promql sparql turtle cue po desktop"
    " ninja gn requirements pip-requirements csv tsv elvish http hurl dockerignore hosts fstab sudoers"
    " crontab passwd capnp graphql puppet snakemake editorconfig-hash mojo hyprlang hjson ron-hash zeek"
    " pov smcl stata wren spice",
    "haskell": "haskell elm purescript lhaskell idris idris2 agda lean lean3 lean4 dhall cabal haskellpersistent",
    "hcl": "hcl terraform terraform-vars opentofu opentofu-vars tf nomad packer",
    "heex": "heex eelixir leex surface html-eex phoenix-heex eex",
    "html": "html xhtml htmldjango-static vue-html web html-derivative smarty",
    "ini": "ini dosini editorconfig systemd desktop-entry gitrebase-ini npmrc pacmanconf inifile",
    "java": "java apex antlr antlr4 processing",
    "javascript": "javascript javascriptreact javascript.jsx jsx actionscript javascript-react",
    "jinja": "jinja jinja2 jinja-html htmldjango django-html django-txt django twig jinja-xml njk nunjucks tera",
    "json": "json jsonc jsonl json5 jsonnet ndjson snippets code-snippets geojson json-tmlanguage",
    "jsp": "jsp jspx ftl freemarker velocity gsp",
    "julia": "julia",
    "kotlin": "kotlin kts",
    "latex": "latex tex plaintex context bibtex bib latex-expl3 doctex bibtex-style",
    "liquid": "liquid",
    "lisp": "lisp commonlisp common-lisp scheme racket fennel hy janet janet-lisp dune query autolisp newlisp",
    "lua": "lua teal",
    "luau": "luau",
    "make": "make makefile gnumakefile dockerfile containerfile docker-file kconfig automake",
    "matlab": "matlab octave",
    "mdx": "mdx",
    "nim": "nim nims nimble",
    "nix": "nix",
    "objc": "objc objective-c objcpp objective-cpp",
    "ocaml": "ocaml ocamllex menhir ocamlinterface ocaml.interface ocaml.ocamllex ocaml.menhir sml standardml"
    " reason-ml coq rocq fstar isabelle applescript mathematica wolfram",
    "pascal": "pascal delphi objectpascal modula2 modula3 oberon inno",
    "perl": "perl",
    "php": "php",
    "powershell": "powershell ps1",
    "prolog": "prolog",
    "prose": "markdown plaintext text gitcommit git-commit git-rebase gitrebase restructuredtext rst asciidoc"
    " asciidoctor org norg mail help man txt quarto rmd rmarkdown juliamarkdown vimwiki wiki mediawiki"
    " textile pandoc markdown.mdx log search-result diff patch output code-text-binary svn hgcommit"
    " jjdescription neogitcommitmessage gitsendemail fountain typst-prose changelog debchangelog pod"
    " rnoweb prompt instructions chatagent chatmode skill tutor troff nroff code-runner-output scminput"
    " cucumber gherkin feature hgignore",
    "python": "python cython pyrex xonsh python3 sage pyi",
    "r": "r rhelp rsplus splus",
    "razor": "razor aspnetcorerazor cshtml",
    "ruby": "ruby ruby-on-rails podfile brewfile fastfile gemfile rakefile mruby",
    "rust": "rust ron cairo noir move verus rust-script",
    "scala": "scala sbt",
    "scss": "scss sass less stylus postcss styl",
    "semicolon": "forth asm nasm masm fasm arm armasm gas asm68k z80 llvm mlir autohotkey autoit reg registry wat"
    " wast x86asm riscv mips lilypond-semicolon nsis",
    "shell": "shellscript sh bash zsh ksh csh tcsh dash ebuild pkgbuild apkbuild bats openrc",
    "slash-types": "haxe vala actionscript3 hack thrift proto proto3 protobuf textproto ceylon genie gleam pony"
    " ballerina mql4 mql5 zeno apexcode gosu xtend",
    "slashes": "bicep dot graphviz inko dts devicetree kdl2 qml qmljs slint scad openscad reason rescript pkl"
    " smithy uml plantuml mermaid typespec prisma qss supercollider chuck swig firrtl chisel asl stan"
    " squirrel rescript-interface javacc logstash kusto bpftrace p4 angelscript jai c3 hare typst faust"
    " circom lingua-franca gdshader godotshader jison peggy",
    "solidity": "solidity yul",
    "sql": "sql mysql plsql pgsql postgres postgresql sqlite tsql mssql sqloracle snowflake-sql cypher hql"
    " sparksql bigquery jinja-sql dbt duckdb surrealql cql n1ql soql",
    "svelte": "svelte",
    "swift": "swift",
    "tcl": "tcl expect sdc xdc",
    "tick": "vhdl ada",
    "toml": "toml pyproject cargo-toml",
    "typescript": "typescript",
    "typescriptreact": "typescriptreact tsx typescript.tsx glimmer-ts typescript-react",
    "vb": "vb vba vbnet basic freebasic bas vbs visual-basic vbscript aspvbs qb64",
    "verilog": "verilog systemverilog verilog_systemverilog bsv bluespec",
    "vim": "vim viml vimscript",
    "vue": "vue",
    "xml": "xml xsl xslt xsd svg rss atom plist ant docbk xaml wsdl xquery ui csproj msbuild maven jnlp kml"
    " mxml resx svg-xml xml-doc fxml qrc dtd",
    "yaml": "yaml yml yaml-tmlanguage dockercompose docker-compose ansible github-actions-workflow"
    " azure-pipelines home-assistant openapi cloudformation gitlab-ci eyaml salt sls clang-format pug"
    " jade haml slim raml",
    "zig": "zig zir",
}
_NAME_OF = {language_id: name for name, ids in _IDS.items() for language_id in ids.split()}
# Languages of their own with few peers, by the family that reads them safely
_NAME_OF |= {
    **dict.fromkeys(("abap",), "vb"),
    **dict.fromkeys(("bat", "dosbatch", "batch", "cmd"), "unknown"),
}
_PART = re.compile(r"[.\-_+ ]")
_SCRIPT = re.compile(r"<(/?)(?:script|style)\b", re.IGNORECASE)
_ENDS_CODE = re.compile(r"[;{(,]$|^---$", re.MULTILINE)
_BEGINS_TAG = re.compile(r"^\s*</?[A-Za-z!?]", re.MULTILINE)


def language(name: str) -> Lexicon:
    """The lexicon of this name."""
    return _ALL[name]


def family_of(language_id: str) -> str:
    """The name of the lexicon for an editor's language id, "" for one that nothing is known of.

    Of names in parts (``javascript.jsx``, ``yaml.ansible``, ``jinja-html``) the first known part counts.
    """
    language_id = language_id.lower()
    if language_id in _NAME_OF or language_id in _ALL:
        return _NAME_OF.get(language_id, language_id)
    parts = [part for part in _PART.split(language_id) if part in _NAME_OF]
    return _NAME_OF[parts[0]] if parts else ""


def lexicon_of(language_id: str) -> Lexicon:
    """The delimiters of an editor's language id; of unknown languages brackets and double quotes."""
    return _ALL[family_of(language_id) or "unknown"]


def lexicon_at(language_id: str, text: str) -> Lexicon:
    """The same for ``text``, a part of a document: that of a page may begin in a script."""
    lexicon = lexicon_of(language_id)
    if lexicon.name == "php":
        return _ALL["php-html"] if text.lstrip().startswith("<") else lexicon
    markup = lexicon.markup
    if markup is None or markup.raw is None:
        return lexicon
    script = _SCRIPT.search(text)
    if script is not None:
        return _ALL["typescript"] if script.group(1) else lexicon
    is_code = _ENDS_CODE.search(text) is not None and _BEGINS_TAG.search(text) is None
    return _ALL["typescript"] if is_code else lexicon

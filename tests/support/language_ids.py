"""The names of languages that editors send: VS Code's known identifiers, and Neovim's common file types."""

from __future__ import annotations

_VSCODE_IDS = """
abap bat bibtex blade c clojure coffeescript cpp csharp css cuda-cpp d dart diff dockercompose dockerfile
elixir erlang fsharp git-commit git-rebase go groovy haml handlebars haskell hlsl html ignore ini jade java
javascript javascriptreact json jsonc jsonl julia juliamarkdown latex less log lua makefile markdown
objective-c objective-cpp ocaml pascal perl perl6 php plaintext powershell prompt properties pug python r raku
razor restructuredtext ruby rust sass scss search-result shaderlab shellscript slim snippets sql stylus svelte
swift tex toml typescript typescriptreact vb vue vue-html xml xsl yaml dotenv editorconfig astro django-html
jinja-html terraform bicep proto3 graphql prisma solidity zig nim nix mdx
"""
VSCODE_IDS = frozenset(_VSCODE_IDS.split())

_NEOVIM_FILE_TYPES = """
ada antlr4 apache arduino asciidoc asm astro autohotkey awk bash bib bitbake blade bzl c cairo capnp cfg chuck
clojure cmake cobol coffee conf config context coq cpp crystal cs csh css csv cucumber cuda cue cypher d dart
desktop dhall diff django dockerfile dosbatch dosini dot dts dune ebuild editorconfig eelixir ejs elixir elm
elvish erlang eruby expect fennel fish forth fortran freebasic fsharp gdresource gdscript gdshader
gitattributes gitcommit gitconfig gitignore gitrebase gleam glimmer glsl gn gnuplot go gohtmltmpl gomod
gotexttmpl gotmpl gowork graphql groovy haml handlebars hare haskell haxe hcl heex help html html.handlebars
htmlangular htmldjango http hyprlang idris2 inko ini java javascript javascript.jsx javascriptreact jinja json
json5 jsonc jsonnet jsp julia just kdl kotlin ksh lean less lex lhaskell liquid lisp llvm lua luau mail make
man markdown matlab mediawiki mermaid meson mlir mustache mysql nasm nginx nim ninja nix norg nunjucks objc
objcpp ocaml octave odin opencl openscad org pandoc pascal perl php plaintex plsql po pony postgresql prisma
processing procfile prolog promql properties proto ps1 pug puppet purescript python qml query quarto r racket
raku razor reason rego requirements rescript rmd robots.txt rst ruby rust sass sbt scala scheme scss sed sh
slim slint smarty smithy snakemake solidity sparql sql sqlite sshconfig starlark stylus supercollider surface
svelte svg swift systemd systemverilog tcl tcsh teal templ terraform terraform-vars tex text textile thrift
tmux toml tsv tsx turtle twig typescript typescript.tsx typescriptreact typst v vala vb verilog vhdl vim
vimwiki vue wast wgsl xhtml xml xquery xslt yacc yaml yaml.ansible yaml.docker-compose z80 zig zsh
"""
NEOVIM_FILE_TYPES = frozenset(_NEOVIM_FILE_TYPES.split())

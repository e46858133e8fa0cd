"""The options of ``bench team``; light, because the command line is built from it at every start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Dialect = Literal[
    "auto", "llama-infill", "llama-completion", "openai-text", "openai-tokens", "ollama", "mistral-fim"
]

UrlOption = Annotated[str, typer.Option("--url", metavar="URL", help="The model server, or the router before it.")]
TypistsOption = Annotated[
    str, typer.Option("--typists", metavar="NUMBERS", help="How many type at once, one run each (commas).")
]
MinutesOption = Annotated[float, typer.Option("--minutes", min=0.01, help="How long each run takes.")]
DialectOption = Annotated[Dialect, typer.Option("--dialect", help="As in the setting remote.dialect.")]
RemoteModelOption = Annotated[str, typer.Option("--remote-model", help="As in the setting remote.model.")]
TokenizerOption = Annotated[str, typer.Option("--tokenizer", help="As in the setting remote.tokenizer.")]
FimFormatOption = Annotated[str, typer.Option("--fim-format", help="As in the setting remote.fimFormat.")]
DebounceOption = Annotated[
    float, typer.Option("--debounce-ms", min=0, help="How long the editor waits for the next key before it asks.")
]
UserKeysOption = Annotated[
    bool,
    typer.Option(
        "--user-keys", help="A key of its own for each typist (typist-1, ...), for routers that go by it."
    ),
]
ServerPidOption = Annotated[
    list[int] | None,
    typer.Option(
        "--server-pid",
        metavar="PID",
        help="Processes whose CPU time counts as the server's; default: what listens at a local address.",
    ),
]
SourceOption = Annotated[
    Path | None,
    typer.Option("--source", exists=True, help="Type code of this file or directory; default: Python's own."),
]

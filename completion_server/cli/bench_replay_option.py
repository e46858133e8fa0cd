"""The options of ``bench replay``; light, because the command line is built from it at every start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PeersOption = Annotated[
    str,
    typer.Option("--peers", metavar="NAMES", help="Also: llama-infill, llama-completion, transformers (commas)."),
]
VariantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        metavar="SETTING=VALUE",
        help="Also: this server with one setting (latency.maxDebounceMs=150) changed; may be repeated.",
    ),
]
SessionsOption = Annotated[
    str,
    typer.Option(
        "--sessions",
        metavar="KINDS",
        help="Only function, line, delete, jump, accept, along (commas); default: all.",
    ),
]
KeysOption = Annotated[int, typer.Option("--keys", min=8, help="Key presses per session, about.")]
RepeatsOption = Annotated[int, typer.Option("--repeats", min=1, help="Rounds, each with other sessions.")]
PaceOption = Annotated[
    float, typer.Option("--pace", min=0, help="Stretches the recorded gaps; 0: the next key follows the reply.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Which sessions.")]
SourceOption = Annotated[
    Path | None,
    typer.Option("--source", exists=True, help="Type code of this file or directory; default: Python's own."),
]
LoadOption = Annotated[bool, typer.Option("--load", help="Keep one core busy beside it.")]
SuffixOption = Annotated[
    bool | None,
    typer.Option(
        "--suffix/--no-suffix",
        help="Whether ours is shown the text after the cursor, with any model; default: as the peers are.",
    ),
]
TimeoutOption = Annotated[
    int | None, typer.Option("--timeout-ms", min=10, help="Our time limit; default: as in the settings.")
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", min=1, max=1024, help="Most tokens in a suggestion, on all sides.")
]
GrowthOption = Annotated[
    bool, typer.Option("--growth", help="Instead: the same functions in 500 and in 50,000 lines, ours only.")
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.svg", help="Draw the times to ghost text (needs matplotlib)."),
]
SaveEventsOption = Annotated[
    Path | None,
    typer.Option("--save-events", metavar="FILE", help="Write every key with its reply, a session per line."),
]
SaveSessionsOption = Annotated[
    Path | None, typer.Option("--save-sessions", metavar="FILE", help="Write the sessions, one per line.")
]

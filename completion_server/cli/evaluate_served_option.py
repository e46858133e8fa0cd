"""Options of ``completion-server evaluate --served``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecordsOption = Annotated[
    Path,
    typer.Option("--records", help="With --served: one JSON line per hole; a run that ended early goes on there."),
]
FitGateOption = Annotated[
    Path | None,
    typer.Option("--fit-gate", metavar="FILE", help="With --served: fit the gate and write its numbers (JSON)."),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="With --served: the precision/coverage curve (.png or .svg)."),
]
DeadlineOption = Annotated[
    float | None,
    typer.Option("--deadline-ms", min=1, help="With --served: time limit of each request; default: none."),
]
AgainstOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        metavar="RECORDS",
        help="With --served: compare hole by hole with the records of another run; may be repeated.",
    ),
]

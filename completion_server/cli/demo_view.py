"""What the demo shows: a live picture on a terminal, one line per change anywhere else."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from completion_server.cli.ghost import code_with_ghost
from completion_server.cli.output import make_table
from completion_server.document import Document
from completion_server.evaluation.latency import LatencyReport, finish_reason
from completion_server.evaluation.typing_session import KeyRecord

_CODE_LINES_ABOVE, _CODE_LINES_BELOW = 12, 2
_NUM_RECENT_KEYS = 6
_TYPED_WIDTH = 40
_NEXT_STEPS = (
    "Next: completion-server try FILE (an editor in the terminal), completion-server doctor (what this machine "
    "can do), completion-server models list (larger models), README.md (Neovim, VS Code and other editors)."
)


class DemoView(AbstractContextManager["DemoView"]):
    """Shows key presses while they happen and a summary at the end."""

    def __init__(self, console: Console, model: Mapping[str, object]) -> None:
        self._console = console
        self._model = model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def show_key(self, name: str, document: Document, record: KeyRecord) -> None:
        """One key press with its reply."""

    def show_summary(self, report: LatencyReport, num_accepted_chars: int, first_at_s: float | None) -> None:
        """Figures of the whole session, and what to do next."""
        console = self._console
        table = Table.grid(padding=(0, 2))
        rows = summary_rows(report, num_accepted_chars, first_at_s)
        for name, value in {"model": describe_model(self._model), **rows}.items():
            table.add_row(name, value)
        console.print()
        console.print(table)
        if not report.num_with_text:
            console.print(
                "No suggestion came in time; `completion-server doctor` says what this machine can do.",
                soft_wrap=True,
            )
        console.print(_NEXT_STEPS, soft_wrap=not console.is_terminal)


class PlainView(DemoView):
    """A line per key that brought something new; typing along a suggestion is not repeated."""

    def __init__(self, console: Console, model: Mapping[str, object]) -> None:
        super().__init__(console, model)
        self._expected: tuple[str, int, str] | None = None
        self._name = ""

    def show_key(self, name: str, document: Document, record: KeyRecord) -> None:
        if name != self._name:
            self._console.print(f"--- {name}")
            self._name = name
        place = record.position
        is_along = self._expected == (name, place.line, record.typed + record.text)
        self._expected = (name, place.line, record.text)
        if not is_along:
            typed = document.line_prefix(place)[-_TYPED_WIDTH:]
            ghost = record.text.replace("\n", "⏎") or f"({finish_reason(record)})"
            self._console.print(
                f"{place.line + 1}:{place.column + 1}  {typed}  -> {ghost}  ({record.reply_ms or 0:.0f} ms)",
                soft_wrap=True,
            )


class LiveView(DemoView):
    """The code with its ghost text, and the latest key presses in a table beneath."""

    def __init__(self, console: Console, model: Mapping[str, object]) -> None:
        super().__init__(console, model)
        self._records: list[KeyRecord] = []
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def show_key(self, name: str, document: Document, record: KeyRecord) -> None:
        self._records.append(record)
        code = code_with_ghost(
            document, record.position, record.text, (_CODE_LINES_ABOVE, _CODE_LINES_BELOW), has_cursor=True
        )
        height = _CODE_LINES_ABOVE + _CODE_LINES_BELOW + 2
        panel = Panel(code, title=name, title_align="left", height=height, border_style="dim")
        self._live.update(Group(panel, self._table()), refresh=True)

    def _table(self) -> Table:
        table = make_table(self._console, "key", "reply, ms", "prompt", "prefilled", "passes", "ended by")
        recent = self._records[-_NUM_RECENT_KEYS:]
        for record in recent + [None] * (_NUM_RECENT_KEYS - len(recent)):
            table.add_row(*_table_row(record))
        return table


def _table_row(record: KeyRecord | None) -> tuple[Text | str, ...]:
    if record is None:
        return ("",) * 6
    trace = record.trace
    counts = [str(trace.get(name, "-")) for name in ("num_prompt_tokens", "num_prefilled_tokens")]
    passes = str(trace.get("num_decode_passes", "-"))
    style = "" if record.text else "dim"
    return (
        Text(repr(record.typed)[1:-1], style=style),
        Text(f"{record.reply_ms or 0:.0f}", style=style),
        *counts,
        passes,
        Text(finish_reason(record), style=style),
    )


def make_view(console: Console, model: Mapping[str, object]) -> DemoView:
    """The live view on a terminal, lines elsewhere."""
    return LiveView(console, model) if console.is_terminal else PlainView(console, model)


def summary_rows(report: LatencyReport, num_accepted_chars: int, first_at_s: float | None) -> dict[str, str]:
    """The session in words and numbers."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.finish_reasons.items())
    share = f"{report.share_with_text:.0%} ({report.num_with_text} of {report.num_answered})"
    first = "-" if first_at_s is None else f"{first_at_s:.1f} s after the start"
    return {
        "first suggestion": first,
        "reply time": f"p50 {report.reply_ms.p50:.0f} ms, p95 {report.reply_ms.p95:.0f} ms, "
        f"longest {report.reply_ms.max:.0f} ms",
        "keys with a suggestion": share,
        "taken with Tab": f"{num_accepted_chars} characters, beside {report.num_keys} keys typed",
        "prompt tokens prefilled": f"{report.prefill_tokens.mean:.1f} per key",
        "prompt tokens from the cache": f"{report.cached_token_ratio:.1%}",
        "answered without the model": f"{report.num_without_model} keys",
        "why suggestions ended": reasons or "-",
    }


def describe_model(model: Mapping[str, object]) -> str:
    """The model in a few words."""
    return (
        f"{model.get('name')} on {model.get('device')}, {model.get('dtype')}, {model.get('num_threads')} threads"
    )

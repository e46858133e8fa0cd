"""The replay's figures as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from completion_server.cli.output import make_table

_MEBIBYTE = 1 << 20
_Row = Callable[[Mapping[str, Any]], str]


def show_replay(console: Console, report: Mapping[str, Any]) -> None:
    """All sides beside each other, then kind by kind, then the ratios."""
    sides: Mapping[str, Mapping[str, Any]] = report["figures"]
    pace = f"recorded gaps x {report['pace']:g}" if report["pace"] else "the next key follows the reply"
    beside = "; a busy process beside" if report["is_loaded"] else ""
    console.print(f"{len(report['sessions'])} sessions per side; {pace}{beside}", soft_wrap=True)
    table = make_table(console, "all sessions", *sides)
    for name, row in _ROWS.items():
        table.add_row(name, *(row(by_kind["all"]) for by_kind in sides.values()))
    console.print(table)
    kinds = make_table(console, "ghost text, ms", "side", "p50", "p95", "p99", "with text", "useful per key")
    for kind in next(iter(sides.values())):
        for name, by_kind in sides.items():
            figures = by_kind[kind]
            times = figures["ghost_text_ms"]
            kinds.add_row(
                kind,
                name,
                *(_number(times[share]) for share in ("p50", "p95", "p99")),
                f"{figures['share_with_text']:.0%}",
                f"{figures['useful_chars_per_key']:.2f}",
            )
    console.print(kinds)
    _show_ratios(console, report["ratios"])


def show_growth(console: Console, report: Mapping[str, Any]) -> None:
    """The short file beside the long one."""
    table = make_table(console, "per key", *(f"{lines} lines" for lines in report["figures"]))
    for name in (
        "reply p50, ms",
        "reply p95, ms",
        "prompt tokens prefilled, p50",
        "prompt tokens prefilled, mean",
    ):
        table.add_row(name, *(_ROWS[name](figures) for figures in report["figures"].values()))
    console.print(table)
    console.print(f"p50, long file over short: {_number(report['p50_ratio'])}")


def _show_ratios(console: Console, all_ratios: Mapping[str, Any]) -> None:
    if not all_ratios:
        return
    table = make_table(console, "ours / peer", "peer", "all", "lowest repeat", "highest repeat")
    for peer, of_peer in all_ratios.items():
        for name, ratio in of_peer.items():
            values = (_number(ratio[key], 3) for key in ("value", "lowest", "highest"))
            table.add_row(name, peer, *values)
    console.print(table)


def _number(value: float | None, num_digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{num_digits}f}"


def _quantile(name: str, share: str, num_digits: int = 1) -> _Row:
    return lambda figures: _number(figures[name][share], num_digits)


def _plain(name: str, num_digits: int = 2) -> _Row:
    return lambda figures: _number(figures[name], num_digits)


_ROWS: Mapping[str, _Row] = {
    "keys": lambda figures: str(figures["num_keys"]),
    "answered before the next key": lambda figures: str(figures["num_answered"]),
    "with ghost text by then": lambda figures: f"{figures['num_with_text']} ({figures['share_with_text']:.0%})",
    "answered without the model": lambda figures: str(figures["num_remembered"]),
    "ghost text p50, ms": _quantile("ghost_text_ms", "p50"),
    "ghost text p95, ms": _quantile("ghost_text_ms", "p95"),
    "ghost text p99, ms": _quantile("ghost_text_ms", "p99"),
    "ghost text, keys without as never, p50, ms": _quantile("ghost_text_of_all_keys_ms", "p50"),
    "ghost text, keys without as never, p95, ms": _quantile("ghost_text_of_all_keys_ms", "p95"),
    "ghost text or next key p50, ms": _quantile("ghost_text_or_next_key_ms", "p50"),
    "ghost text or next key p95, ms": _quantile("ghost_text_or_next_key_ms", "p95"),
    "ghost text, model asked p50, ms": _quantile("asked_ghost_text_ms", "p50"),
    "ghost text, model asked p95, ms": _quantile("asked_ghost_text_ms", "p95"),
    "reply p50, ms": _quantile("reply_ms", "p50"),
    "reply p95, ms": _quantile("reply_ms", "p95"),
    "first request p50, ms": _quantile("cold_ms", "p50"),
    "typed through p99, ms": _quantile("type_through_ms", "p99", 2),
    "prompt tokens prefilled, p50": _quantile("prefill_tokens", "p50"),
    "prompt tokens prefilled, mean": _quantile("prefill_tokens", "mean"),
    "prompt tokens from the cache": lambda figures: (
        "-" if figures["cached_token_ratio"] is None else f"{figures['cached_token_ratio']:.1%}"
    ),
    "characters shown": lambda figures: str(figures["num_shown_chars"]),
    "of these typed next": lambda figures: str(figures["num_useful_chars"]),
    "typed next, per key": _plain("useful_chars_per_key"),
    "characters accepted": lambda figures: str(figures["num_accepted_chars"]),
    "forward passes per character shown": _plain("passes_per_shown_char", 3),
    "wasted tokens per character shown": _plain("wasted_tokens_per_shown_char", 3),
    "CPU s per minute of typing": _plain("cpu_s_per_typing_minute", 1),
    "memory, MiB": lambda figures: f"{figures['max_rss_bytes'] / _MEBIBYTE:.0f}",
    "later than the deadline p99, ms": _quantile("overshoot_ms", "p99"),
    "cancelled to idle p99, ms": _quantile("cancel_to_idle_ms", "p99"),
}

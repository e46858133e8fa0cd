"""``completion-server bench replay``: typing sessions through the real server and its peers, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from completion_server.backends.threads import choose_num_threads
from completion_server.cli.bench_replay_report import show_growth, show_replay
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import ShowProgress, make_console, print_json, shown_progress
from completion_server.cli.server_process import started_server
from completion_server.config import Settings, load_settings
from completion_server.errors import CompletionServerError
from completion_server.evaluation.machine import describe_machine, package_version
from completion_server.evaluation.replay.comparison import PlayOptions, play_in_turns, ratios
from completion_server.evaluation.replay.driver import SessionRun
from completion_server.evaluation.replay.figures import summarize, summarize_by_kind
from completion_server.evaluation.replay.growth import lengthened, shortened
from completion_server.evaluation.replay.own_server import OwnServer, editor_options
from completion_server.evaluation.replay.peer import Peer, PromptLimits
from completion_server.evaluation.replay.peer_start import PEER_NAMES, LocalModel, check_peers, started_peer
from completion_server.evaluation.replay.plan import KINDS, make_session, make_sessions
from completion_server.evaluation.replay.plot import check_plotting, draw_ghost_text
from completion_server.evaluation.replay.process_tree import busy_process, child_pids
from completion_server.evaluation.replay.session import Session
from completion_server.evaluation.replay.source import read_sources
from completion_server.lsp.configuration import merge_options

_OURS = "ours"
_MAX_REST_S = 5.0
_SHORT_LINES, _LONG_LINES = 500, 50_000
_UNHURRIED_MS = 10_000
_VERSIONS = ("torch", "transformers", "xllamacpp")


@dataclass(frozen=True)
class Variant:
    """Ours once more, with one setting changed; named as it was asked for."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class ReplayTask:
    """What is typed, against whom, and how."""

    peers: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    kinds: tuple[str, ...] = KINDS
    num_keys: int = 60
    num_repeats: int = 3
    pace: float = 1.0
    seed: int = 1
    source: Path | None = None
    is_loaded: bool = False
    with_suffix: bool | None = None
    """Whether ours is shown the text after the cursor with any model; None: as its peers are."""
    timeout_ms: int | None = None
    limits: PromptLimits = field(default_factory=PromptLimits)
    num_probes: int = 3

    @property
    def borrows_sentinels(self) -> bool:
        """Whether ours needs a format even where the model has none."""
        return "llama-infill" in self.peers if self.with_suffix is None else self.with_suffix

    @property
    def is_prefix_only(self) -> bool:
        """Whether ours is not shown the text after the cursor, because no peer is."""
        return (bool(self.peers) and not self.borrows_sentinels) or self.with_suffix is False


@dataclass(frozen=True)
class ReplayFiles:
    """What is written beside the report."""

    plot: Path | None = None
    events: Path | None = None
    sessions: Path | None = None


@dataclass(frozen=True)
class _ServerOptions(CommonOptions):
    """The shared options with settings on top that make both sides see and write as much."""

    extra: Mapping[str, Any] = field(default_factory=dict)

    def editor_options(self) -> dict[str, Any]:
        merged: dict[str, Any] = merge_options(super().editor_options(), self.extra)
        return merged


def run_replay(
    options: CommonOptions, task: ReplayTask, files: ReplayFiles = ReplayFiles(), *, as_json: bool = False
) -> None:
    """Type, measure, print. Raises CompletionServerError."""
    _check(task, files)
    settings = options.resolve(Path.cwd()).settings
    sources = read_sources(task.source)
    repeats = [make_sessions(task.kinds, sources, task.num_keys, task.seed + n) for n in range(task.num_repeats)]
    if files.sessions is not None:
        _write(files.sessions, [session.as_dict() for sessions in repeats for session in sessions])
    runs, model = asyncio.run(_play(options, task, settings, repeats))
    timeout_ms = task.timeout_ms or settings.latency.automatic_timeout_ms
    report = _report(task, repeats, runs, timeout_ms)
    if files.events is not None:
        _write(
            files.events,
            [dataclasses.asdict(run) for of_peer in runs.values() for each in of_peer for run in each],
        )
    if files.plot is not None:
        beside = "a busy process beside" if task.is_loaded else "nothing beside"
        title = f"{sum(map(len, repeats))} typing sessions, {beside}"
        draw_ghost_text(files.plot, {name: _flat(of_peer) for name, of_peer in runs.items()}, title)
    if not as_json:
        show_replay(make_console(), report)
    print_json({**report, "model": dict(model), "machine": _machine()}, indent=None)


def run_growth(options: CommonOptions, task: ReplayTask, *, as_json: bool = False) -> None:
    """One function typed into a short and into a long file, in turns."""
    sources = read_sources(task.source)
    base = [
        shortened(make_session("function", sources, task.num_keys, task.seed + n), _SHORT_LINES)
        for n in range(task.num_repeats)
    ]
    long = [lengthened(session, sources, _LONG_LINES) for session in base]
    settings = options.resolve(Path.cwd()).settings
    # As one comparison of two "repeats" per pair, so that short and long take turns at being first.
    order = [pair if n % 2 == 0 else pair[::-1] for n, pair in enumerate(zip(base, long, strict=True))]
    # Without a time limit that matters: cut at the limit, all files would look alike.
    alone = dataclasses.replace(task, peers=(), timeout_ms=task.timeout_ms or _UNHURRIED_MS)
    runs, model = asyncio.run(_play(options, alone, settings, order))
    played = [run for runs_of_pair in runs[_OURS] for run in runs_of_pair]
    is_long = [session in long for pair in order for session in pair]
    figures = {
        str(num_lines): summarize([run for run, flag in zip(played, is_long, strict=True) if flag is wanted])
        for num_lines, wanted in ((_SHORT_LINES, False), (_LONG_LINES, True))
    }
    short_ms, long_ms = (figures[str(lines)].reply_ms.p50 for lines in (_SHORT_LINES, _LONG_LINES))
    ratio = round(long_ms / short_ms, 4) if short_ms and long_ms else None
    report = {
        "bench": "replay-growth",
        "num_keys": task.num_keys,
        "num_repeats": task.num_repeats,
        "pace": task.pace,
        "p50_ratio": ratio,
        "figures": {lines: each.as_dict() for lines, each in figures.items()},
    }
    if not as_json:
        show_growth(make_console(), report)
    print_json({**report, "model": dict(model), "machine": _machine()}, indent=None)


def parse_names(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Names separated by commas. Raises CompletionServerError for one that is not ``known``."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CompletionServerError(f"no such {what}: {', '.join(unknown)} (known: {', '.join(known)})")
    return names


def peer_names(text: str) -> tuple[str, ...]:
    """The peers that ``--peers`` names."""
    return parse_names(text, PEER_NAMES, "peer")


def variants_of(texts: Sequence[str]) -> tuple[Variant, ...]:
    """What ``--variant`` asks for. Raises CompletionServerError for what is no setting or no value of it."""
    return tuple(Variant(text, _changed_setting(text)) for text in dict.fromkeys(texts))


def _changed_setting(text: str) -> dict[str, Any]:
    dotted, _, value = text.partition("=")
    *groups, name = dotted.strip().split(".")
    try:
        options: dict[str, Any] = {name: msgspec.json.decode(value)}
    except msgspec.DecodeError:
        options = {name: value}
    for group in reversed(groups):
        options = {group: options}
    loaded = load_settings(None, options, {})
    if loaded.warnings:
        raise CompletionServerError(f"--variant {text}: {loaded.warnings[0]}")
    return options


def kind_names(text: str) -> tuple[str, ...]:
    """The kinds of sessions that ``--sessions`` names; all without any."""
    return parse_names(text, KINDS, "kind of session") or KINDS


def limits_for(max_new_tokens: int) -> PromptLimits:
    """The usual windows of text, and as many new tokens."""
    return PromptLimits(max_new_tokens=max_new_tokens)


def _check(task: ReplayTask, files: ReplayFiles) -> None:
    """What would fail in the end fails now."""
    check_peers(task.peers)
    if files.plot is not None:
        check_plotting()


async def _play(
    options: CommonOptions, task: ReplayTask, settings: Settings, repeats: Sequence[Sequence[Session]]
) -> tuple[dict[str, list[list[SessionRun]]], Mapping[str, object]]:
    console = make_console(stderr=True)
    with shown_progress(console) as progress:
        async with _started(options, task, settings, progress) as (peers, model):
            # Only now: the busy process is to disturb the typing, not the loading.
            with busy_process() if task.is_loaded else contextlib.nullcontext():
                max_rest_s = _MAX_REST_S if len(peers) > 1 else 0.0
                play = PlayOptions(task.pace, task.num_probes, max_rest_s)
                return await play_in_turns(peers, repeats, play, progress), model


@asynccontextmanager
async def _started(
    options: CommonOptions, task: ReplayTask, settings: Settings, progress: ShowProgress
) -> AsyncIterator[tuple[list[Peer], Mapping[str, object]]]:
    """Ours first, then its peers, all loaded."""
    num_threads = choose_num_threads(options.threads or settings.model.num_threads)
    limits = dataclasses.replace(task.limits, max_suffix_tokens=0) if task.is_prefix_only else task.limits
    extra = editor_options(limits, num_threads, timeout_ms=task.timeout_ms)
    local: LocalModel | None = None
    facts: dict[str, object] = {"has_borrowed_sentinels": False}
    if task.peers or task.borrows_sentinels:
        progress("preparing the model", None)
        local = LocalModel.prepare(settings, borrow_sentinels=task.borrows_sentinels)
        if task.borrows_sentinels:
            extra["model"] |= {"fimFormat": local.fim_format, "promptOrder": "spm"}
            options = dataclasses.replace(options, model=str(local.directory))
            facts["has_borrowed_sentinels"] = local.has_borrowed_sentinels
    if task.is_prefix_only:
        extra["model"] |= {"fimFormat": "prefix-only"}
    served = _ServerOptions(options.model, options.offline, num_threads, extra)
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        for variant in (Variant(_OURS, {}), *task.variants):
            known = child_pids()
            changed = dataclasses.replace(served, extra=merge_options(extra, variant.options))
            editor, model = await stack.enter_async_context(started_server(changed, progress))
            peers.append(OwnServer(editor, min(child_pids() - known), variant.name))
            facts = {**model, **facts}  # those of the first stay
        for name in task.peers:
            assert local is not None
            progress(f"starting {name}", None)
            peers.append(await stack.enter_async_context(started_peer(name, local, num_threads, task.limits)))
        facts.update(name=settings.model.name, model=settings.model.name)
        yield peers, facts


def _report(
    task: ReplayTask,
    repeats: Sequence[Sequence[Session]],
    runs: Mapping[str, list[list[SessionRun]]],
    timeout_ms: float,
) -> dict[str, Any]:
    ours = {_OURS, *(variant.name for variant in task.variants)}
    figures = {
        name: summarize_by_kind(_flat(of_peer), timeout_ms if name in ours else None)
        for name, of_peer in runs.items()
    }
    return {
        "bench": "replay",
        "pace": task.pace,
        "num_repeats": task.num_repeats,
        "seed": task.seed,
        "is_loaded": task.is_loaded,
        "timeout_ms": timeout_ms,
        "limits": dataclasses.asdict(task.limits),
        "sessions": [
            {"kind": session.kind, "source": session.name, "num_keys": session.num_keys}
            for sessions in repeats
            for session in sessions
        ],
        "figures": {
            name: {kind: each.as_dict() for kind, each in by_kind.items()} for name, by_kind in figures.items()
        },
        "ratios": {
            name: {key: dataclasses.asdict(ratio) for key, ratio in ratios(runs[_OURS], of_peer).items()}
            for name, of_peer in runs.items()
            if name != _OURS
        },
    }


def _machine() -> dict[str, object]:
    return {**describe_machine(), **{name: package_version(name) for name in _VERSIONS}}


def _flat(of_peer: Sequence[Sequence[SessionRun]]) -> list[SessionRun]:
    return [run for runs in of_peer for run in runs]


def _write(path: Path, values: Sequence[object]) -> None:
    """One JSON value per line."""
    lines = [json.dumps(value, default=lambda other: getattr(other, "value", str(other))) for value in values]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise CompletionServerError(f"{path} cannot be written: {error}") from error

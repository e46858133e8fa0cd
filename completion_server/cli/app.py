"""The command line. Every command imports its own module when it runs, so that ``serve`` starts light.

Own errors become one line on stderr and exit code 1; with ``--debug`` or ``--log-level debug`` also a traceback.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from completion_server import __version__
from completion_server.cli import bench_replay_option as replay_option
from completion_server.cli.option import (
    CommonOptions,
    JsonOption,
    LogLevelOption,
    ModelOption,
    OfflineOption,
    ThreadsOption,
)
from completion_server.errors import CompletionServerError
from completion_server.logs import configure_logging

log = logging.getLogger(__name__)

_EXIT_INTERRUPTED = 130


_LAZY_GROUPS = ("models", "train")


class CommandGroup(TyperGroup):
    """Loads groups with files of their own only when they are wanted; turns own errors into one clear line."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_LAZY_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _LAZY_GROUPS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"completion_server.cli.{cmd_name}_command")
        command = typer.main.get_group(module.app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CompletionServerError as error:
            log.debug("the error below came from here", exc_info=error)
            typer.echo(f"completion-server: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(_EXIT_INTERRUPTED) from None


app = typer.Typer(
    cls=CommandGroup,
    help="Inline code completion on your own machine, as a language server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench_app = typer.Typer(help="Measure this server on this machine.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"completion-server {__version__}")
        raise typer.Exit


@app.callback()
def configure(
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001 - acted on by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Inline code completion on your own machine, as a language server."""
    configure_logging("debug" if debug else "warning")


def _use_log_level(level: str | None) -> None:
    if level is not None:
        configure_logging(level)


@app.command()
def serve(  # noqa: PLR0913 - one parameter per option
    tcp: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen on this loopback address instead of stdin and stdout."),
    ] = None,
    model: ModelOption = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    no_shared: Annotated[
        bool, typer.Option("--no-shared", help="Load the model in this process, not once for all windows.")
    ] = False,
    log_level: LogLevelOption = None,
) -> None:
    """Run the language server (this is what an editor starts)."""
    from completion_server.cli import serve_command

    serve_command.run(
        tcp,
        {
            "name": model,
            "device": device,
            "num_threads": threads,
            "offline": offline or None,
            "shared": False if no_shared else None,
        },
        log_level,
    )


@app.command()
def engine(  # noqa: PLR0913 - one parameter per option
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    idle_minutes: Annotated[
        int | None, typer.Option("--idle-minutes", min=1, help="Leave so long after the last window.")
    ] = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Also answer other tools over HTTP, on this machine."),
    ] = None,
    http_allow_remote: Annotated[
        bool, typer.Option("--http-allow-remote", help="Let --http listen where other machines reach it.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Show the engines that run.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the engines that run.")] = False,
    detached: Annotated[Path | None, typer.Option("--detached", hidden=True)] = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Hold the model once for all windows. Windows start it by themselves; see docs/shared-engine.md."""
    from completion_server.cli import engine_command

    _use_log_level(log_level)
    if detached is not None:
        engine_command.run_detached(detached)
    elif status:
        engine_command.show_status(as_json=as_json)
    elif stop:
        engine_command.stop_all()
    else:
        choice = engine_command.HttpChoice(http, http_allow_remote) if http is not None else None
        engine_command.run_foreground(CommonOptions(model, offline, threads), idle_minutes, choice)


@app.command()
def complete(  # noqa: PLR0913 - one parameter per option
    place: Annotated[
        str, typer.Argument(metavar="FILE:LINE:COL", help="Counted from 1; without COL: end of the line.")
    ],
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    timeout_ms: Annotated[
        float | None, typer.Option(min=1, help="Time limit; default: as in the settings.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Most tokens; default: as in the settings.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, max=3, help="How many alternatives.")] = 1,
    automatic: Annotated[
        bool, typer.Option("--automatic", help="As if it had appeared by itself while typing.")
    ] = False,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Show what would be suggested at one place of a file, and what it cost."""
    from completion_server.cli import complete_command

    _use_log_level(log_level)
    query = complete_command.CompleteQuery(place, timeout_ms, max_tokens, items, automatic)
    complete_command.run(query, CommonOptions(model, offline, threads), as_json=as_json)


@app.command()
def demo(
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    fast: Annotated[bool, typer.Option("--fast", help="No pauses between keys.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Stop typing after this time.")] = 40.0,
    log_level: LogLevelOption = None,
) -> None:
    """Watch the real server complete a small file while it is typed. Start here."""
    from completion_server.cli import demo_command

    _use_log_level(log_level)
    pacing = demo_command.Pacing(is_fast=fast, max_seconds=seconds)
    raise typer.Exit(demo_command.run(CommonOptions(model, offline, threads), pacing))


@app.command("try")
def try_editor(
    file: Annotated[Path, typer.Argument(help="The file to edit; it may be new.")],
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Edit a file in the terminal with live suggestions."""
    from completion_server.cli import try_command

    _use_log_level(log_level)
    try_command.run(file, CommonOptions(model, offline, threads))


@app.command()
def config(
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the editor's settings.")
    ] = False,
    as_json: JsonOption = False,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Show every setting, its value here and where the value comes from."""
    from completion_server.cli import config_command

    if schema:
        config_command.print_schema()
    else:
        config_command.run(CommonOptions(model, offline, threads), as_json=as_json)


@app.command()
def doctor(
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the model first if it is not here.")] = False,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Check this machine, measure the model on it, and say what to change."""
    from completion_server.cli import doctor_command

    _use_log_level(log_level)
    doctor_command.run(CommonOptions(model, offline, threads), allow_fetch=fetch, as_json=as_json)


@app.command()
def evaluate(  # noqa: PLR0913 - one parameter per option
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory made by `train corpus`.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="MODEL", help="May be repeated; default: as in the settings."),
    ] = None,
    split: Annotated[str, typer.Option(help="held-out, validation or train.")] = "held-out",
    holes: Annotated[int, typer.Option("--holes", min=1, help="Holes of each kind.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Decides which holes.")] = 0,
    no_tests: Annotated[
        bool, typer.Option("--no-tests", help="Leave out the small functions whose tests are run.")
    ] = False,
    likelihood: Annotated[
        bool, typer.Option("--likelihood", help="Also measure the likelihood of the middles and of plain text.")
    ] = False,
    context: Annotated[
        int,
        typer.Option(
            "--context",
            min=0,
            metavar="N",
            help="Also N holes that need a name of another file, without and with snippets of other files.",
        ),
    ] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the scores to this JSON file.")] = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Score models on holes in files that no training saw, through the server's own pipeline.

    The last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import evaluate_command

    _use_log_level(log_level)
    names: list[str | None] = [*model] if model else [None]
    options = [CommonOptions(name, offline, threads) for name in names]
    task = evaluate_command.EvaluationTask(corpus, split, holes, seed, not no_tests, likelihood, context)
    evaluate_command.run(options, task, out=out, as_json=as_json)


@app.command("evaluate-package")
def evaluate_package(
    package: Annotated[Path, typer.Argument(help="Directory of a Python package with tests; it is copied.")],
    tests: Annotated[
        str, typer.Option("--tests", help="What runs its tests, in the copy.")
    ] = "python -m pytest -xq",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="MODEL", help="May be repeated; default: as in the settings."),
    ] = None,
    holes: Annotated[int, typer.Option("--holes", min=1, help="Lines to judge; the tests notice each.")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="Decides which lines.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Take out lines of a real package in turn, let the model write them, and run the package's own tests.

    What the model wrote is run: with limits, without sockets, but as you. The last line of stdout is JSON.
    """
    import shlex

    from completion_server.cli import evaluate_package_command
    from completion_server.evaluation.package_holes import PackageTask

    names: list[str | None] = [*model] if model else [None]
    options = [CommonOptions(name, False, None) for name in names]
    task = PackageTask(package, shlex.split(tests), holes, seed)
    evaluate_package_command.run(options, task, as_json=as_json)


@bench_app.command("latency")
def bench_latency(  # noqa: PLR0913 - one parameter per option
    lines: Annotated[int, typer.Option(min=20, help="Lines of the file that is typed into.")] = 1000,
    chars: Annotated[int, typer.Option(min=1, help="Key presses, in the middle of the file.")] = 200,
    pace_ms: Annotated[
        float,
        typer.Option(min=0, help="A key every so many ms, answered or not; 0: the next key follows the reply."),
    ] = 0.0,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Type into the middle of a long file through the real server, and measure every reply.

    The last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import bench_command

    _use_log_level(log_level)
    task = bench_command.LatencyTask(lines, chars, pace_ms)
    bench_command.run_latency(CommonOptions(model, offline, threads), task, as_json=as_json)


@bench_app.command("replay")
def bench_replay(  # noqa: PLR0913 - one parameter per option
    peers: replay_option.PeersOption = "",
    sessions: replay_option.SessionsOption = "",
    keys: replay_option.KeysOption = 60,
    repeats: replay_option.RepeatsOption = 3,
    pace: replay_option.PaceOption = 1.0,
    seed: replay_option.SeedOption = 1,
    source: replay_option.SourceOption = None,
    load: replay_option.LoadOption = False,
    suffix: replay_option.SuffixOption = None,
    timeout_ms: replay_option.TimeoutOption = None,
    max_tokens: replay_option.MaxTokensOption = 16,
    growth: replay_option.GrowthOption = False,
    plot: replay_option.PlotOption = None,
    save_events: replay_option.SaveEventsOption = None,
    save_sessions: replay_option.SaveSessionsOption = None,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Replay typing sessions through the real server, and through other servers in turns with it.

    The last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import bench_replay_command as command

    _use_log_level(log_level)
    task = command.ReplayTask(
        peers=command.peer_names(peers),
        kinds=command.kind_names(sessions),
        num_keys=keys,
        num_repeats=repeats,
        pace=pace,
        seed=seed,
        source=source,
        is_loaded=load,
        with_suffix=suffix,
        timeout_ms=timeout_ms,
        limits=command.limits_for(max_tokens),
    )
    options = CommonOptions(model, offline, threads)
    if growth:
        command.run_growth(options, task, as_json=as_json)
    else:
        files = command.ReplayFiles(plot, save_events, save_sessions)
        command.run_replay(options, task, files, as_json=as_json)


@bench_app.command("forward")
def bench_forward(  # noqa: PLR0913 - one parameter per option
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Prompts for each side.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="Decides the prompts.")] = 0,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Compare prefill and decode with llama.cpp's on the same weights, and with the memory's speed."""
    from completion_server.cli import bench_forward_command

    _use_log_level(log_level)
    options = CommonOptions(model, offline, threads)
    bench_forward_command.run(options, num_repeats=repeats, seed=seed, as_json=as_json)


@bench_app.command("quality")
def bench_quality(
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Compare the model as it is served with the same weights in float32, on fixed code."""
    from completion_server.cli import bench_quality_command

    _use_log_level(log_level)
    bench_quality_command.run(CommonOptions(model, offline, threads), as_json=as_json)


@bench_app.command("items")
def bench_items(
    places: Annotated[int, typer.Option(min=2, help="Places in a file at which is asked.")] = 30,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare several suggestions asked for by hand with one, at the same places in turns."""
    from completion_server.cli import bench_items_command

    bench_items_command.run(CommonOptions(model, offline, threads), num_places=places, as_json=as_json)


@bench_app.command("documents")
def bench_documents(as_json: JsonOption = False) -> None:
    """Measure what one key press costs the server's documents."""
    from completion_server.cli import bench_command

    bench_command.run_documents(as_json=as_json)


@bench_app.command("context")
def bench_context(
    files: Annotated[int, typer.Option(min=16, help="Files of the workspace that is made for it.")] = 2000,
    requests: Annotated[int, typer.Option(min=1, help="Places to choose snippets for.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """Choose snippets of other files at random places of a workspace.

    The last line of stdout is one JSON object.
    """
    from completion_server.cli import bench_context_command

    bench_context_command.run(files, requests, as_json=as_json)

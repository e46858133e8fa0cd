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
from completion_server.cli import evaluate_served_option as served_option
from completion_server.cli.option import (
    ClientProcessIdOption,
    CommonOptions,
    JsonOption,
    LogLevelOption,
    ModelOption,
    OfflineOption,
    PipeOption,
    SocketOption,
    StdioOption,
    ThreadsOption,
    use_log_level,
)
from completion_server.errors import EXIT_INTERRUPTED, CompletionServerError
from completion_server.logs import configure_logging

log = logging.getLogger(__name__)

_LAZY_GROUPS = ("bench", "models", "train")


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
            raise typer.Exit(EXIT_INTERRUPTED) from None


app = typer.Typer(
    cls=CommandGroup,
    help="Inline code completion on your own machine, as a language server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


@app.command()
def serve(  # noqa: PLR0913 - one parameter per option
    tcp: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen on this loopback address instead of stdin and stdout."),
    ] = None,
    tcp_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --tcp: serve only a client that sends the content of FILE (made if missing) as tcpToken in"
            " initializationOptions.",
        ),
    ] = None,
    stdio: StdioOption = False,
    pipe: PipeOption = None,
    socket: SocketOption = None,
    client_process_id: ClientProcessIdOption = None,
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

    if tcp is None and tcp_token_file is not None:
        raise typer.BadParameter("--tcp-token-file needs --tcp")
    if sum((stdio, tcp is not None, pipe is not None, socket is not None)) > 1:
        raise typer.BadParameter("only one of --stdio, --tcp, --pipe and --socket can be used")
    serve_command.run(
        None if tcp is None else serve_command.TcpChoice(tcp, tcp_token_file),
        {
            "name": model,
            "device": device,
            "num_threads": threads,
            "offline": offline or None,
            "shared": False if no_shared else None,
        },
        log_level,
        serve_command.ClientChoice(pipe, socket, client_process_id),
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

    use_log_level(log_level)
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
        float, typer.Option(min=1, help="Time limit in ms. Editors have limits of their own in the settings.")
    ] = 10_000.0,
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

    use_log_level(log_level)
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

    use_log_level(log_level)
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

    use_log_level(log_level)
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
def trust(
    folder: Annotated[Path, typer.Argument(help="Workspace with a .completion-server.toml.")] = Path(),
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the agreement back.")] = False,
    show_all: Annotated[bool, typer.Option("--list", help="Show the folders with an answer of yours.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let a workspace's settings load files or take memory and processor time, after showing them."""
    from completion_server.cli import trust_command

    if show_all:
        trust_command.show_all()
    elif revoke:
        trust_command.revoke(folder)
    else:
        trust_command.allow(folder, is_confirmed=yes)


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

    use_log_level(log_level)
    doctor_command.run(CommonOptions(model, offline, threads), allow_fetch=fetch, as_json=as_json)


@app.command()
def stats(
    days: Annotated[int, typer.Option("--days", min=1, help="How far to look back.")] = 90,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="A picture (.png or .svg).")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete the log and the traces.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how much of what was suggested was accepted, from the log on this disk."""
    from completion_server.cli import stats_command

    if clear:
        stats_command.clear()
    else:
        stats_command.run(days, plot=plot, as_json=as_json)


@app.command()
def explain(
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many requests.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to the last requests: times, tokens, filters, what was hidden and why."""
    from completion_server.cli import explain_command

    explain_command.run(last, as_json=as_json)


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
    served: Annotated[
        bool, typer.Option("--served", help="As an editor asks: what would be shown, and how much of it is right.")
    ] = False,
    records: served_option.RecordsOption = Path("served.jsonl"),
    fit_gate: served_option.FitGateOption = None,
    plot: served_option.PlotOption = None,
    deadline_ms: served_option.DeadlineOption = None,
    against: served_option.AgainstOption = None,
    context: Annotated[
        int,
        typer.Option(
            "--context",
            min=0,
            metavar="N",
            help="Also N holes that need a name of another file and N elsewhere, without and with snippets.",
        ),
    ] = 0,
    alone: Annotated[
        bool, typer.Option("--alone", help="Each file by itself; else its repository is the workspace.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the scores to this JSON file.")] = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Score models on holes in files that no training saw, through the server's own pipeline.

    The last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import evaluate_command, evaluate_served_command

    use_log_level(log_level)
    if served:
        served_task = evaluate_served_command.ServedTask(
            corpus, split, holes, seed, deadline_ms, records, fit_gate, plot, tuple(against or ())
        )
        one = CommonOptions(model[0] if model else None, offline, threads)
        evaluate_served_command.run(one, served_task, out=out, as_json=as_json)
        return
    options = CommonOptions.for_each(model, offline=offline, threads=threads)
    task = evaluate_command.EvaluationTask(corpus, split, holes, seed, not no_tests, likelihood, context, alone)
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

    options = CommonOptions.for_each(model)
    task = PackageTask(package, shlex.split(tests), holes, seed)
    evaluate_package_command.run(options, task, as_json=as_json)

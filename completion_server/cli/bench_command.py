"""``completion-server bench``: measurements of this server on this machine, each in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from completion_server.cli import bench_replay_option as replay_option
from completion_server.cli import bench_team_option as team_option
from completion_server.cli.option import (
    CommonOptions,
    JsonOption,
    LogLevelOption,
    ModelOption,
    OfflineOption,
    ThreadsOption,
    use_log_level,
)

SharedOption = Annotated[
    bool,
    typer.Option(
        "--shared/--no-shared", help="The model in a process of its own, as for editors, or in the server's."
    ),
]

app = typer.Typer(help="Measure this server on this machine.", no_args_is_help=True)


@app.command("latency")
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
    from completion_server.cli import bench_latency_command

    use_log_level(log_level)
    task = bench_latency_command.LatencyTask(lines, chars, pace_ms)
    bench_latency_command.run_latency(CommonOptions(model, offline, threads), task, as_json=as_json)


@app.command("replay")
def bench_replay(  # noqa: PLR0913 - one parameter per option
    peers: replay_option.PeersOption = "",
    variant: replay_option.VariantOption = None,
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

    use_log_level(log_level)
    task = command.ReplayTask(
        peers=command.peer_names(peers),
        variants=command.variants_of(variant or ()),
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


@app.command("team")
def bench_team(  # noqa: PLR0913 - one parameter per option
    url: team_option.UrlOption,
    typists: team_option.TypistsOption = "1,2,4,8",
    minutes: team_option.MinutesOption = 1.0,
    dialect: team_option.DialectOption = "auto",
    remote_model: team_option.RemoteModelOption = "",
    tokenizer: team_option.TokenizerOption = "",
    fim_format: team_option.FimFormatOption = "auto",
    sessions: replay_option.SessionsOption = "",
    keys: replay_option.KeysOption = 60,
    pace: replay_option.PaceOption = 1.0,
    debounce_ms: team_option.DebounceOption = 0.0,
    timeout_ms: replay_option.TimeoutOption = None,
    seed: replay_option.SeedOption = 1,
    source: team_option.SourceOption = None,
    server_pid: team_option.ServerPidOption = None,
    user_keys: team_option.UserKeysOption = False,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Let several typists at once ask a model server, each through a language server of their own.

    The last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import bench_team_command as command
    from completion_server.cli.bench_replay_command import kind_names
    from completion_server.evaluation.replay.team import TeamPlan

    use_log_level(log_level)
    numbers = command.parse_numbers(typists)
    plan = TeamPlan(minutes * 60, kind_names(sessions), keys, pace, debounce_ms=debounce_ms, seed=seed)
    remote = {"dialect": dialect, "model": remote_model, "tokenizer": tokenizer, "fimFormat": fim_format}
    task = command.TeamTask(url, numbers, plan, remote, timeout_ms, tuple(server_pid or ()), source, user_keys)
    command.run_team(task, as_json=as_json)


@app.command("soak")
def bench_soak(  # noqa: PLR0913 - one parameter per option
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to type.")] = 60.0,
    idle_seconds: Annotated[
        float, typer.Option(min=1, help="How long the idle server is watched in the end.")
    ] = 60.0,
    pace: replay_option.PaceOption = 1.0,
    seed: replay_option.SeedOption = 1,
    shared: SharedOption = True,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Type for long into six documents: memory, descriptors, threads, replies, and CPU when idle.

    Ends with 1 when memory grows by 2 % or more after the first sixth of the time, descriptors or threads grow, a
    request is not answered exactly once, or the idle server uses the CPU. The last line of stdout is one JSON
    object; with --json it is the only one.
    """
    from completion_server.cli import bench_endurance_command as command
    from completion_server.evaluation.soak import SoakPlan

    use_log_level(log_level)
    plan = SoakPlan(minutes * 60, idle_seconds, pace=pace, seed=seed)
    command.run_soak(CommonOptions(model, offline, threads), plan, is_shared=shared, as_json=as_json)


@app.command("load")
def bench_load(  # noqa: PLR0913 - one parameter per option
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to ask.")] = 5.0,
    rate: Annotated[float, typer.Option(min=1, help="Edits, and requests after them, in a second.")] = 50.0,
    cancelled: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that are cancelled.")] = 0.3,
    seed: replay_option.SeedOption = 1,
    shared: SharedOption = True,
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Ask at a steady rate, with cancels: how long an edit waits until it is applied.

    Ends with 1 when one edit in a hundred waits for 5 ms or longer, or a request is not answered exactly once. The
    last line of stdout is one JSON object; with --json it is the only one.
    """
    from completion_server.cli import bench_endurance_command as command
    from completion_server.evaluation.steady_load import LoadPlan

    use_log_level(log_level)
    plan = LoadPlan(minutes * 60, rate, cancelled, seed=seed)
    command.run_load(CommonOptions(model, offline, threads), plan, is_shared=shared, as_json=as_json)


@app.command("forward")
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

    use_log_level(log_level)
    options = CommonOptions(model, offline, threads)
    bench_forward_command.run(options, num_repeats=repeats, seed=seed, as_json=as_json)


@app.command("quality")
def bench_quality(
    model: ModelOption = None,
    offline: OfflineOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    log_level: LogLevelOption = None,
) -> None:
    """Compare the model as it is served with the same weights in float32, on fixed code."""
    from completion_server.cli import bench_quality_command

    use_log_level(log_level)
    bench_quality_command.run(CommonOptions(model, offline, threads), as_json=as_json)


@app.command("items")
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


@app.command("documents")
def bench_documents(as_json: JsonOption = False) -> None:
    """Measure what one key press costs the server's documents."""
    from completion_server.cli import bench_latency_command

    bench_latency_command.run_documents(as_json=as_json)


@app.command("context")
def bench_context(  # noqa: PLR0913 - one parameter per option
    files: Annotated[int, typer.Option(min=16, help="Files of the workspace that is made for it.")] = 2000,
    requests: Annotated[int, typer.Option(min=1, help="Places to choose snippets for.")] = 500,
    corpus: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Instead: how often the snippets hold the name that its lines need."
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Which files of the corpus: held-out, validation or train.")
    ] = "held-out",
    holes: Annotated[int, typer.Option(min=1, help="Lines of the corpus that need a name of another file.")] = 200,
    seed: Annotated[int, typer.Option(help="Decides the lines.")] = 0,
    model: ModelOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose snippets of other files at random places of a workspace: how long it takes.

    With --corpus: at lines that need a name of another file, how often they show it; only the model's tokenizer is
    used. The last line of stdout is one JSON object.
    """
    from completion_server.cli import bench_context_command as command

    if corpus is None:
        command.run(files, requests, as_json=as_json)
    else:
        task = command.RecallTask(corpus, split, holes, seed)
        command.run_recall(CommonOptions(model, offline), task, as_json=as_json)

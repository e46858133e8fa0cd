"""``completion-server train``: make a corpus, train from scratch, adapt a model, or personalise it."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from completion_server.cli.option import CommonOptions, JsonOption, OfflineOption, ThreadsOption
from completion_server.cli.output import make_console, make_table, print_json, shown_progress
from completion_server.cli.shares_option import parse_shares

app = typer.Typer(
    help="Train on your own machine: a corpus, a model from scratch, an adapter, or one for your repository.",
    no_args_is_help=True,
)

if TYPE_CHECKING:
    from completion_server.training.fim_transform import FimRates
    from completion_server.training.personalise import Verdict

_DEFAULT_RECIPE = "default"
_GPU_BATCH_TOKENS = 16_384

RunOption = Annotated[Path, typer.Option("--run", help="Directory of the run; it goes on where it stopped.")]
CorpusOption = Annotated[Path, typer.Option("--corpus", help="Directory made by `train corpus`.")]
StepsOption = Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps in all.")]
RateOption = Annotated[float, typer.Option("--rate", min=0, help="Peak learning rate.")]
ScheduleOption = Annotated[
    Literal["wsd", "linear", "cosine"],
    typer.Option("--schedule", help="How the rate falls: late (wsd), or all along."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Decides everything random.")]


@app.command()
def corpus(
    recipe: Annotated[str, typer.Argument(help="A TOML file, or `default`.")],
    out: Annotated[Path, typer.Argument(help="Directory to make; an older one there is replaced.")],
    as_json: JsonOption = False,
) -> None:
    """Gather source files under permissive licences, without secrets and near-duplicates, split by repository."""
    from completion_server.training.corpus_build import build_corpus
    from completion_server.training.corpus_recipe import read_recipe

    path = _recipe_path(recipe)
    with shown_progress(make_console(stderr=True)) as progress:
        summary = build_corpus(
            read_recipe(path), out, lambda what, done, total: progress(what, done / total if total else None)
        )
    if as_json:
        print_json({"corpus": str(out), "num_files": summary.num_files, "num_chars": summary.num_chars,
                    "left_out": summary.left_out})  # fmt: skip
        return
    console = make_console()
    table = make_table(console, "characters", *summary.num_chars)
    for language in sorted({name for of_split in summary.num_chars.values() for name in of_split}):
        table.add_row(language, *(f"{of_split.get(language, 0):,}" for of_split in summary.num_chars.values()))
    console.print(table)
    for source, reason in summary.left_out.items():
        console.print(f"left out {source}: {reason}", soft_wrap=True)


@app.command()
def adapt(  # noqa: PLR0913 - one parameter per option
    corpus: CorpusOption,
    run: RunOption,
    model: Annotated[
        str, typer.Option("--model", help="Left-to-right model to start from.")
    ] = "smollm2-135m-base",
    steps: StepsOption = 2000,
    rate: RateOption = 1e-3,
    rank: Annotated[int, typer.Option("--rank", min=0, help="Rank of the adapter; 0: train all weights.")] = 16,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Examples per step.")] = 16,
    joint: Annotated[float, typer.Option(min=0, max=1, help="Share with prefix and middle in one piece.")] = 0.5,
    prefix_weight: Annotated[float, typer.Option(min=0, max=1, help="Loss weight of the prefix.")] = 0.3,
    snippets: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the holes that are shown snippets of other files.")
    ] = 0.0,
    named_elsewhere: Annotated[
        float, typer.Option(min=0, max=1, help="Of those, the share on lines with a name out of the snippets.")
    ] = 0.0,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=512, help="Most tokens of an example, snippets aside.")
    ] = 640,
    full_windows: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the holes with all the text around them that fits.")
    ] = 0.0,
    kinds: Annotated[
        str | None, typer.Option("--kinds", metavar="KIND=SHARE,...", help="How often each kind of hole comes.")
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            "--languages",
            metavar="NAME=SHARE,...",
            help="Instead of the corpus's own; one that is not named never comes.",
        ),
    ] = None,
    schedule: ScheduleOption = "wsd",
    earlier: Annotated[
        Path | None, typer.Option("--from", help="Begin with this adapter, or the newest one of this run.")
    ] = None,
    finish: Annotated[
        int | None,
        typer.Option("--finish", min=1, help="Let the rate fall to 0 in so many steps, beside the run."),
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    offline: OfflineOption = False,
) -> None:
    """Teach a model to fill in the middle. Stop it any time; the same command goes on."""
    _prepare_torch(threads)
    import torch

    from completion_server.training.adapt import AdaptTask, prepare_adapt
    from completion_server.training.finish import prepare_finish
    from completion_server.training.schedule import Schedule
    from completion_server.training.trainer import TrainSettings

    rate_by_step = Schedule(rate, steps, min(30, steps // 10), schedule, steps - steps // 7)
    settings = TrainSettings(rate_by_step, examples_per_step=batch)
    if torch.cuda.is_available():
        settings = replace(settings, max_batch_tokens=_GPU_BATCH_TOKENS)
    task = AdaptTask(
        _model_directory(model, offline=offline),
        corpus,
        run,
        settings,
        replace(
            _fim_rates(kinds, joint, prefix_weight, snippets, named_elsewhere),
            max_tokens=max_tokens,
            full_windows=full_windows,
        ),
        language_shares=_language_shares(languages),
        rank=rank,
        seed=seed,
        base_name=model,
        earlier=earlier,
    )
    trainer = prepare_adapt(task) if finish is None else prepare_finish(task, finish)
    raise typer.Exit(_train(trainer, make_console()))


@app.command()
def pretrain(  # noqa: PLR0913 - one parameter per option
    corpus: CorpusOption,
    run: RunOption,
    steps: StepsOption = 1000,
    rate: RateOption = 3e-3,
    vocabulary: Annotated[int, typer.Option("--vocabulary", min=300, help="Tokens of the new tokenizer.")] = 4096,
    hidden: Annotated[int, typer.Option("--hidden", min=32, help="Width of the model.")] = 256,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Decoder blocks.")] = 6,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
) -> None:
    """Train a tokenizer and a small model from nothing. Stop it any time; the same command goes on."""
    _prepare_torch(threads)
    from completion_server.training.pretrain import ModelShape, PretrainTask, prepare_pretrain
    from completion_server.training.schedule import Schedule
    from completion_server.training.trainer import TrainSettings

    num_heads = max(hidden // 64, 2)
    inner = hidden * 11 // 4 // 8 * 8
    shape = ModelShape(vocabulary, hidden, inner, layers, num_heads, max(num_heads // 2, 1))
    settings = TrainSettings(Schedule(rate, steps, min(50, steps // 10), "wsd", steps - steps // 5))
    trainer, write = prepare_pretrain(PretrainTask(corpus, run, settings, shape, seed=seed))
    console = make_console()
    exit_code = _train(trainer, console)
    if exit_code == 0:
        console.print(f"the model is in {write()}", soft_wrap=True)
    raise typer.Exit(exit_code)


@app.command()
def personalise(  # noqa: PLR0913 - one parameter per option
    path: Annotated[Path, typer.Argument(help="Your repository.", exists=True, file_okay=False)],
    run: RunOption,
    model: Annotated[str, typer.Option("--model", help="Model to start from.")] = "smollm2-135m",
    steps: StepsOption = 120,
    rate: RateOption = 2e-3,
    rank: Annotated[int, typer.Option("--rank", min=1, help="Rank of the adapter.")] = 16,
    holes: Annotated[int, typer.Option("--holes", min=2, help="Holes of each kind to score on.")] = 60,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn your repository, score it on files that were kept apart, and say whether to keep the result."""
    _prepare_torch(threads)
    from completion_server.training.personalise_run import PersonaliseTask
    from completion_server.training.personalise_run import personalise as run_personalise

    task = PersonaliseTask(
        path, run, _model_directory(model, offline=offline), model, steps, rate, rank, holes, seed
    )  # fmt: skip
    settings = CommonOptions(model, offline, threads).resolve(path).settings
    console = make_console()
    with shown_progress(make_console(stderr=True)) as progress:
        verdict = run_personalise(task, settings, lambda trainer: _train(trainer, console) == 0, progress)
    if verdict is None:
        raise typer.Exit(130)
    _show_verdict(verdict, run, path, as_json=as_json)


@app.command()
def export(
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")],
    model: Annotated[str, typer.Option("--model", help="Base to merge into.")] = "smollm2-135m-base",
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="Write adapter and model card, merge nothing.")
    ] = False,
    average_with: Annotated[
        Path | None,
        typer.Option(
            "--average-with",
            metavar="RUN_OR_ADAPTER",
            help="Write the mean of the adapter and of this earlier one of the same shape.",
        ),
    ] = None,
    offline: OfflineOption = False,
) -> None:
    """Write the newest adapter of a run: merged into its base as a model directory, or by itself with its card."""
    from completion_server.training.adapter_card import write_adapter_with_card
    from completion_server.training.average import average_adapters
    from completion_server.training.checkpoint import newest_adapter
    from completion_server.training.earlier_stage import find_earlier_stage
    from completion_server.training.export import merge_adapter

    newest = adapter = newest_adapter(run)
    with tempfile.TemporaryDirectory() as directory:
        if average_with is not None:
            adapter = average_adapters(newest, find_earlier_stage(average_with), Path(directory))
        if adapter_only:
            write_adapter_with_card(adapter, run, out)
        else:
            merge_adapter(_model_directory(model, offline=offline), adapter, out)
    make_console().print(f"{newest} -> {out}", soft_wrap=True)


def _show_verdict(verdict: Verdict, run: Path, repository: Path, *, as_json: bool) -> None:
    from completion_server.config import WORKSPACE_FILE_NAME

    merged = (run / "model").resolve()
    if as_json:
        print_json({**asdict(verdict), "should_keep": verdict.should_keep, "model": str(merged)}, indent=None)
        return
    console = make_console()
    table = make_table(console, "files kept apart", "exact match", "edit similarity", "ended right")
    for name, found in (("before", verdict.before), ("after", verdict.after)):
        ended = "-" if found.stopped_right is None else f"{found.stopped_right:.0%}"
        table.add_row(name, f"{found.exact_match:.1%}", f"{found.edit_similarity:.3f}", ended)
    console.print(table)
    console.print(verdict.sentence, soft_wrap=True)
    if verdict.should_keep:
        console.print(f"to use it, put this into {repository / WORKSPACE_FILE_NAME}:\n", soft_wrap=True)
        console.print(f'[model]\nname = "{merged}"', soft_wrap=True)
        console.print(f"\nthen run: completion-server trust {shlex.quote(str(repository))}", soft_wrap=True)


def _train(trainer: object, console: Console) -> int:
    """Run with a view and a log; 0 at the end, 130 when it was stopped before."""
    from completion_server.training.interruption import stop_on_signals
    from completion_server.training.loss_plot import PLOT_NAME, write_plot
    from completion_server.training.run_lock import locked_run
    from completion_server.training.run_log import LOG_NAME, LogFile, shown_run
    from completion_server.training.trainer import Trainer

    assert isinstance(trainer, Trainer)
    trainer.views.append(LogFile(trainer.directory / LOG_NAME))
    num_steps = trainer.settings.schedule.num_steps
    with (
        locked_run(trainer.directory),
        shown_run(console, num_steps, trainer.state.step) as view,
        stop_on_signals() as request,
    ):
        trainer.views.append(view)
        is_done = trainer.run(request)
    write_plot(trainer.directory / LOG_NAME, trainer.directory / PLOT_NAME)
    return 0 if is_done else 130


def _prepare_torch(num_threads: int | None) -> None:
    """Before torch is imported: threads that wait for each other must not spin on a shared machine."""
    from completion_server.config import limit_thread_spinning

    limit_thread_spinning()
    import torch

    if num_threads:
        torch.set_num_threads(num_threads)


def _fim_rates(
    kinds: str | None, joint: float, prefix_weight: float, snippets: float, named_elsewhere: float
) -> FimRates:
    from completion_server.evaluation.fim_spans import SpanKind
    from completion_server.training.fim_transform import FimRates

    rates = FimRates(joint=joint, prefix_weight=prefix_weight, snippets=snippets, named_elsewhere=named_elsewhere)
    shares = parse_shares(kinds, "--kinds", [kind.value for kind in SpanKind])
    return replace(rates, kinds={SpanKind(name): share for name, share in shares.items()}) if shares else rates


def _language_shares(languages: str | None) -> dict[str, float]:
    from completion_server.training.corpus_files import LANGUAGES

    return parse_shares(languages, "--languages", set(LANGUAGES.values()))


def _recipe_path(recipe: str) -> Path:
    if recipe != _DEFAULT_RECIPE:
        return Path(recipe)
    from importlib.resources import files

    return Path(str(files("completion_server.training") / "recipes" / "default.toml"))


def _model_directory(model: str, *, offline: bool) -> Path:
    from completion_server.catalog.resolve import ensure_local
    from completion_server.catalog.store import default_cache_dir

    with shown_progress(make_console(stderr=True)) as progress:
        return ensure_local(
            model, default_cache_dir(), offline, True,
            lambda stage, done, total: progress(stage, done / total if total else None),
        )  # fmt: skip

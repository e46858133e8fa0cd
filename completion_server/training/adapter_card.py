"""The model card of an adapter: what it is for, what it learned from, how, and how well it does."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from completion_server.training.earlier_stage import AVERAGED_WITH, RUN_NAME, STAGES_NAME, run_stages
from completion_server.training.error import TrainingError
from completion_server.training.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS

CARD_NAME = "README.md"
DATA_NAME = "training-data.json"
SCORES_NAME = "scores.json"


def write_adapter_with_card(adapter: Path, run: Path, target: Path) -> None:
    """Copy ``adapter`` (a checkpoint of ``run``) to ``target`` with a card, its stages and its data's list.

    Scores come from ``run``/scores.json, where `evaluate --out` puts them. Raises TrainingError.
    """
    try:
        facts = json.loads((run / RUN_NAME).read_text(encoding="utf-8"))
        state = json.loads((adapter / "state.json").read_text(encoding="utf-8"))
        scores_path = run / SCORES_NAME
        scores = json.loads(scores_path.read_text(encoding="utf-8")) if scores_path.is_file() else []
        target.mkdir(parents=True, exist_ok=True)
        for name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG):
            shutil.copyfile(adapter / name, target / name)
        sources = [each for each in facts["corpus"].get("sources", []) if each.get("num_files", 1)]
        (target / DATA_NAME).write_text(json.dumps(sources, indent=1) + "\n", encoding="utf-8")
        stages = json.dumps(run_stages(run, adapter), indent=1)
        (target / STAGES_NAME).write_text(stages + "\n", encoding="utf-8")
        (target / CARD_NAME).write_text(make_card(facts, state, sources, scores), encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"the adapter of {run} cannot be written to {target}: {error}") from error


def make_card(
    facts: Mapping[str, Any],
    state: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The card in Markdown. ``facts``: content of run.json; ``state``: of the checkpoint's state.json."""
    settings, schedule = facts["settings"], facts["settings"]["schedule"]
    spellings = ", ".join(f"`{old}` is `{new}`" for old, new in facts["token_spellings"].items())
    learned = [each for each in sources if each.get("split") == "train"]
    lines = [
        f"# Fill-in-the-middle adapter for {facts['base_model']}",
        "",
        "Teaches the model to write what belongs between the text before and after the cursor, in the order "
        "`suffix, prefix` that lets typing append to the prompt.",
        "",
        f"* Format: `{facts['fim_format']}`"
        + (f"; of the vocabulary's reserved tokens, {spellings}." if spellings else "."),
        f"* LoRA, rank {facts['rank']}, alpha {facts['alpha']:g}, on all linear maps of the blocks; the "
        "embeddings of the tokens above. Stored in bfloat16, merged into the weights when the model is installed.",
        "",
        "## Recipe",
        "",
        *map(_stage_line, facts.get("earlier_stages", [])),
        f"* {state['step']:,} steps of {settings['examples_per_step']} examples, {state['num_tokens']:,} tokens, "
        f"{state['elapsed_s'] / 3600:.1f} hours of computing; seed {facts['seed']}.",
        f"* AdamW, betas {settings['betas']}, peak rate {schedule['peak']:g}, "
        f"{schedule['num_warmup_steps']} steps of warm-up, schedule `{schedule['kind']}`, "
        f"gradient norm at most {settings['max_gradient_norm']:g}.",
        f"* Loss 1 on the middle and its end, {facts['rates']['prefix_weight']:g} on the prefix; "
        f"{facts['rates']['plain']:.0%} plain text; prefix and middle in one piece in "
        f"{facts['rates']['joint']:.0%}.",
        *_window_lines(facts["rates"]),
        *_snippet_lines(facts["rates"]),
        f"* Holes: {_percentages(facts['rates']['kinds'])}.",
        *_language_lines(facts["corpus"].get("language_shares", {})),
        *_average_lines(state),
        "",
        "## Training data",
        "",
        f"{len(learned)} packages under permissive licences; name, version, licence and hash of each are in "
        f"`{DATA_NAME}`. Characters by language:",
        "",
        "| language | characters |",
        "|---|---|",
        *(f"| {language} | {count:,} |" for language, count in _count(learned).most_common()),
    ]
    if scores:
        lines += ["", "## Scores on repositories that were kept apart", "", *_score_table(scores)]
    return "\n".join(lines) + "\n"


def _stage_line(stage: Mapping[str, Any]) -> str:
    line = (
        f"* Before that, {stage['num_steps']:,} steps of {stage['examples_per_step']} examples, "
        f"{stage['num_tokens']:,} tokens, {stage['hours']:.1f} hours of computing, peak rate "
        f"{stage['peak_rate']:g}; seed {stage['seed']}"
    )
    if stage.get("kinds"):  # older stages do not say
        line += f"; holes: {_percentages(stage['kinds'])}"
    if stage.get("full_windows"):
        line += f"; {_windows(stage)}"
    if AVERAGED_WITH in stage:
        line += f"; averaged with the adapter after {stage[AVERAGED_WITH]:,} tokens"
    share, named = stage["snippets"], stage["named_elsewhere"]
    return f"{line}; {_shares(share, named)}." if share else f"{line}; no snippets of other files."


def _window_lines(rates: Mapping[str, Any]) -> list[str]:
    text = _windows(rates) if rates.get("full_windows") else ""  # older runs do not say
    return [f"* {text[0].upper()}{text[1:]}."] if text else []


def _snippet_lines(rates: Mapping[str, Any]) -> list[str]:
    share = rates.get("snippets", 0.0)  # older runs do not say
    return [f"* S{_shares(share, rates['named_elsewhere'])[1:]}."] if share else []


def _language_lines(shares: Mapping[str, float]) -> list[str]:
    return [f"* Examples by language: {_percentages(shares)}."] if shares else []


def _average_lines(state: Mapping[str, Any]) -> list[str]:
    if AVERAGED_WITH not in state:
        return []
    num_tokens = state[AVERAGED_WITH]
    return [
        f"* The weights are the mean of what they were then and after {num_tokens:,} tokens, of the same rank."
    ]


def _percentages(shares: Mapping[str, float]) -> str:
    """Relative shares as "a 40%, b 60%"."""
    total = sum(shares.values())
    return ", ".join(f"{name} {_percent(share / total)}" for name, share in shares.items())


def _percent(share: float) -> str:
    return f"{share:.1%}".replace(".0%", "%")


def _shares(snippets: float, named_elsewhere: float) -> str:
    return (
        f"snippets of other files in {snippets:.0%} of the examples with a hole, {named_elsewhere:.0%} of those "
        "with the hole on a line that uses a name out of them"
    )


def _windows(rates: Mapping[str, Any]) -> str:
    return (
        f"all the text around it that fits {rates['max_tokens']:,} tokens in {rates['full_windows']:.0%} of the "
        "examples with a hole, windows of varied length in the others"
    )


def _count(sources: Sequence[Mapping[str, Any]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(source.get("num_chars", {}))
    return counts


def _score_table(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        "| model | holes | number | exact match | edit similarity | ended right |",
        "|---|---|---|---|---|---|",
    ]
    for each in scores:
        stopped = each.get("stopped_right")
        rows.append(
            f"| {each['model']} | {each['kind']} | {each['num_holes']} | {each['exact_match']:.1%} "
            f"({each['exact_low']:.1%} to {each['exact_high']:.1%}) | {each['edit_similarity']:.3f} | "
            + ("-" if stopped is None else f"{stopped:.0%}")
            + " |"
        )
    return rows

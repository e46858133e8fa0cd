"""``train adapt --from``: a run begins with the adapter of an earlier one, and tells of it.

Only the weights are taken over; optimizer, rate and data begin anew. An exported adapter carries its stages in
``stages.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from completion_server.training.checkpoint import newest_adapter
from completion_server.training.decoder import Decoder
from completion_server.training.error import TrainingError
from completion_server.training.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    AdapterFacts,
    load_adapter,
    read_adapter_config,
)

STAGES_NAME = "stages.json"
RUN_NAME = "run.json"
AVERAGED_WITH = "averaged_with_tokens"
"""In a checkpoint's state and in a stage: after how many tokens the adapter was that this one is the mean with."""


@dataclass(frozen=True)
class EarlierStage:
    """An adapter to begin with. ``stages``: what it learned so far, the first stage first, as ``stage_facts``."""

    adapter: Path
    sha256: str
    stages: tuple[Mapping[str, Any], ...]

    def load_into(self, decoder: Decoder, facts: AdapterFacts) -> None:
        """Put the weights into ``decoder``. Raises TrainingError when they are of another model or shape."""
        config = read_adapter_config(self.adapter)
        base = str(config.get("base_model_name_or_path"))
        if is_another_base(base, facts.base_model):
            raise TrainingError(f"the adapter in {self.adapter} is for {base}, not for {facts.base_model}")
        settings = decoder.settings
        if (config.get("r"), config.get("lora_alpha")) != (settings.rank, settings.alpha):
            raise TrainingError(
                f"the adapter in {self.adapter} has rank {config.get('r')} and alpha {config.get('lora_alpha')}, "
                f"this run {settings.rank} and {settings.alpha:g}: choose the same"
            )
        rows = (config.get("trainable_token_indices") or {}).get("embed_tokens", [])
        if tuple(rows) != settings.row_ids:
            raise TrainingError(f"the adapter in {self.adapter} has given other tokens a new meaning")
        load_adapter(self.adapter, decoder)


def is_another_base(one: str, other: str) -> bool:
    """Whether two adapters, or an adapter and a run, tell of different bases.

    A directory may be the same base under another path; whether it fits shows when the weights are put to use.
    """
    return one != other and not Path(one).is_dir() and not Path(other).is_dir()


def find_earlier_stage(path: Path) -> EarlierStage:
    """The adapter in ``path``, or the newest one of the run there. Raises TrainingError when there is none."""
    try:
        if (path / ADAPTER_CONFIG).is_file():
            adapter, stages = path, _exported_stages(path)
        else:
            adapter = newest_adapter(path)
            stages = run_stages(path, adapter)
        digest = hashlib.sha256((adapter / ADAPTER_WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} holds no adapter to begin with: {error}") from error
    return EarlierStage(adapter, digest, tuple(stages))


def run_stages(run: Path, adapter: Path) -> list[Mapping[str, Any]]:
    """The stages behind ``adapter``, a checkpoint of ``run``; its own is last. OSError, ValueError, KeyError."""
    facts = json.loads((run / RUN_NAME).read_text(encoding="utf-8"))
    state = json.loads((adapter / "state.json").read_text(encoding="utf-8"))
    return [*facts.get("earlier_stages", []), stage_facts(facts, state)]


def stage_facts(facts: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """One stage out of the content of run.json and of the checkpoint's state.json."""
    rates = facts["rates"]
    return {
        "num_steps": state["step"],
        "examples_per_step": facts["settings"]["examples_per_step"],
        "num_tokens": state["num_tokens"],
        "hours": round(state["elapsed_s"] / 3600, 2),
        "peak_rate": facts["settings"]["schedule"]["peak"],
        "seed": facts["seed"],
        "snippets": rates.get("snippets", 0.0),
        "named_elsewhere": rates.get("named_elsewhere", 0.0),
        "kinds": rates["kinds"],
        **_windows(rates),
        **({AVERAGED_WITH: state[AVERAGED_WITH]} if AVERAGED_WITH in state else {}),
    }


def _windows(rates: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes, where they are not as they were in the first runs."""
    full = rates.get("full_windows")
    return {"full_windows": full, "max_tokens": rates["max_tokens"]} if full else {}


def _exported_stages(directory: Path) -> list[Mapping[str, Any]]:
    path = directory / STAGES_NAME
    if not path.is_file():
        raise FileNotFoundError(f"it has no {STAGES_NAME}")
    stages: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return stages

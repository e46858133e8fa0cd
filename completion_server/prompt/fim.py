"""Fill-in-the-middle prompts: which format a tokenizer speaks, and token ids laid out in it.

Used by serving and by training, so that a model is asked in exactly the shape that it learned. The formats are
data, in ``prompt.fim_table``. Where the prompt ends with the prefix, healing takes text off the prompt's end and
the model writes it again before the middle; where it ends with the middle sentinel, the prefix is cut back inside
the prompt and the first tokens of the middle spell what was cut. Both are up to the caller: see
``FimLayout.ends_with_prefix``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from completion_server.errors import ModelFormatError
from completion_server.prompt.fim_table import FIM_FORMATS, PREFIX_ONLY, FimFormat, PromptOrder, Slot

__all__ = [
    "FIM_FORMATS",
    "PREFIX_ONLY",
    "FimDetection",
    "FimFormat",
    "FimLayout",
    "FimTokens",
    "PromptOrder",
    "choose_order",
    "detect_fim_format",
    "fim_format_names",
    "fim_token_ids",
    "layout",
    "with_spellings",
]

_FAMILIAR_SENTINELS = ("fim", "<PRE>", "<SUF>", "<MID>", "_prefix|>", "<|prefix|>", "[PREFIX]")
_MAX_NAMED_TOKENS = 4
_PREFIX_SLOTS: tuple[Slot, ...] = ("prefix",)


class FimTokenizer(Protocol):
    """What this module needs of a tokenizer."""

    @property
    def special_token_ids(self) -> Collection[int]:
        """Ids that the text of a user is never encoded to."""
        ...

    @property
    def bos_token_id(self) -> int | None: ...

    @property
    def eos_token_id(self) -> int | None: ...

    @property
    def add_bos(self) -> bool:
        """Whether prompts begin with the bos token."""
        ...

    def token_id(self, spelling: str) -> int | None: ...

    def token_bytes(self, token_id: int) -> bytes: ...


@dataclass(frozen=True)
class FimDetection:
    """The format to use, and what the user should know about the choice."""

    format: FimFormat
    warning: str | None = None


@dataclass(frozen=True)
class FimTokens:
    """The tokens of a format in one vocabulary; None where the format or the vocabulary has no such token."""

    prefix: int | None = None
    suffix: int | None = None
    middle: int | None = None
    end: int | None = None
    start: tuple[int, ...] = ()
    """Begin the prompt (bos), before anything else."""
    stop_token_ids: frozenset[int] = frozenset()
    file_separator: int | None = None
    repo: int | None = None
    snippet: int | None = None
    """Precedes each file of a prompt with several."""


@dataclass(frozen=True)
class FimLayout:
    """A prompt as token ids, and where its parts are: ``token_ids[prefix_start:prefix_end]`` is the prefix."""

    token_ids: tuple[int, ...]
    prefix_start: int
    prefix_end: int
    suffix_start: int
    suffix_end: int

    @property
    def ends_with_prefix(self) -> bool:
        """Whether generation continues the prefix itself, with no token in between."""
        return self.prefix_end == len(self.token_ids)


def fim_format_names() -> tuple[str, ...]:
    """All names that ``detect_fim_format`` accepts as ``override``, sorted."""
    return tuple(sorted({name for each in FIM_FORMATS for name in (each.name, *each.aliases)}))


def with_spellings(fim_format: FimFormat, spellings: Mapping[str, str]) -> FimFormat:
    """``fim_format`` with other tokens: ``spellings`` maps "prefix", "suffix", "middle", "end" to a token.

    For models whose vocabulary was fixed before they learned the format: an adapter on SmolLM2 uses some of its
    reserved tokens (``<gh_stars>``, ``<issue_start>``, ...). Raises ModelFormatError for any other key.
    """
    unknown = spellings.keys() - {"prefix", "suffix", "middle", "end"}
    if unknown:
        raise ModelFormatError(f"no such role of a fill-in-the-middle token: {', '.join(sorted(unknown))}")
    return replace(
        fim_format,
        prefix_token=spellings.get("prefix", fim_format.prefix_token),
        suffix_token=spellings.get("suffix", fim_format.suffix_token),
        middle_token=spellings.get("middle", fim_format.middle_token),
        end_token=spellings.get("end", fim_format.end_token),
    )


def detect_fim_format(
    tokenizer: FimTokenizer,
    override: str | None = None,
    model_type: str | None = None,
    spellings: Mapping[str, str] | None = None,
) -> FimDetection:
    """The format that ``tokenizer`` has the tokens for.

    ``override`` is the setting: a name, or None or "auto" to look at the tokens only. ``model_type`` (of
    config.json) decides where the tokens do not. ``spellings`` as in ``with_spellings``, for the overriding
    format. A family that is not known is given prefix-only prompts and a warning, never another family's
    sentinels; so is every override that does not fit, if the tokens give no better answer.
    """
    if override is None or override == "auto":
        return _detect(tokenizer, model_type)
    if override == PREFIX_ONLY.name:
        return FimDetection(PREFIX_ONLY)
    named = [each for each in FIM_FORMATS if override == each.name or override in each.aliases]
    if not named:
        known = ", ".join(fim_format_names())
        return _fall_back(
            f"there is no fill-in-the-middle format {override!r} (known: {known})", tokenizer, model_type
        )
    if spellings:
        named = [with_spellings(each, spellings) for each in named]
    usable = [each for each in named if not _missing_sentinels(each, tokenizer)]
    if usable:
        # Granite 3 and Granite Code share name and sentinels, not the end of text.
        return FimDetection(next((each for each in usable if _fits(each, tokenizer)), usable[0]))
    missing = ", ".join(_missing_sentinels(named[0], tokenizer))
    reason = f"this model's tokenizer lacks tokens of the fill-in-the-middle format {override!r}: {missing}"
    return _fall_back(reason, tokenizer, model_type)


def choose_order(fim_format: FimFormat, wanted: str = "auto") -> PromptOrder:
    """The order to use: ``wanted`` ("psm", "spm" or "auto") where the format has it, otherwise its default."""
    return next((order for order in fim_format.orders if order.value == wanted), fim_format.default_order)


def fim_token_ids(fim_format: FimFormat, tokenizer: FimTokenizer) -> FimTokens:
    """The ids of the format's tokens.

    Every control token that has no place inside a middle stops it. Without a format, all control tokens do: none
    of them is code. Raises ModelFormatError when a sentinel is not one control token of ``tokenizer``.
    """
    missing = _missing_sentinels(fim_format, tokenizer)
    if missing:
        raise ModelFormatError(
            f"this model's tokenizer lacks tokens of the fill-in-the-middle format {fim_format.name!r}: "
            f"{', '.join(missing)}; set the format to auto"
        )
    special = tokenizer.special_token_ids
    file_separator = _first_id(fim_format.file_separator_tokens, tokenizer)
    repo = _first_id(fim_format.repo_tokens, tokenizer)
    end = _control_id(fim_format.end_token, tokenizer)
    stops = {_control_id(token, tokenizer) for token in (*fim_format.sentinel_tokens, *fim_format.stop_tokens)}
    stops |= {file_separator, repo, end, tokenizer.eos_token_id}
    if not fim_format.sentinel_tokens:
        stops |= set(special)
    return FimTokens(
        prefix=_control_id(fim_format.prefix_token, tokenizer),
        suffix=_control_id(fim_format.suffix_token, tokenizer),
        middle=_control_id(fim_format.middle_token, tokenizer),
        end=tokenizer.eos_token_id if end is None else end,
        start=_start_ids(fim_format, tokenizer),
        stop_token_ids=frozenset(token_id for token_id in stops if token_id is not None),
        file_separator=file_separator,
        repo=repo,
        snippet=_first_id(fim_format.snippet_tokens, tokenizer),
    )


def layout(
    fim_format: FimFormat,
    order: PromptOrder,
    prefix_ids: Sequence[int],
    suffix_ids: Sequence[int],
    tokens: FimTokens,
    context_ids: Sequence[int] = (),
) -> FimLayout:
    """The prompt for a middle between ``prefix_ids`` and ``suffix_ids``.

    ``context_ids`` (snippets of other files) stand before the first sentinel. An empty part keeps its sentinel:
    that is what models saw in training at either end of a file. A format without a suffix leaves it out. Raises
    ModelFormatError for an order that the format does not have.
    """
    slots = fim_format.slots(order) if fim_format.orders else _PREFIX_SLOTS
    if slots is None:
        raise ModelFormatError(f"the fill-in-the-middle format {fim_format.name!r} has no order {order.value}")
    sentinels = {"prefix_token": tokens.prefix, "suffix_token": tokens.suffix, "middle_token": tokens.middle}
    parts = {"prefix": prefix_ids, "suffix": suffix_ids}
    token_ids = [*tokens.start, *context_ids]
    spans = {"suffix": (len(token_ids), len(token_ids))}
    for slot in slots:
        if slot in parts:
            spans[slot] = (len(token_ids), len(token_ids) + len(parts[slot]))
            token_ids.extend(parts[slot])
        elif (sentinel := sentinels[slot]) is not None:
            token_ids.append(sentinel)
        else:
            raise ModelFormatError(f"the fill-in-the-middle format {fim_format.name!r} has no {slot} here")
    return FimLayout(tuple(token_ids), *spans["prefix"], *spans["suffix"])


def _detect(tokenizer: FimTokenizer, model_type: str | None) -> FimDetection:
    fitting = [each for each in FIM_FORMATS if each.sentinel_tokens and _fits(each, tokenizer)]
    if fitting:
        of_type = [each for each in fitting if model_type in each.model_types]
        return FimDetection((of_type or fitting)[0])
    seen = _sentinel_lookalikes(tokenizer)
    if seen:
        hint = f"it has {', '.join(seen)}, but of no family known here; if you know which one, set model.fimFormat"
    else:
        hint = "it has no fill-in-the-middle tokens"
    return FimDetection(PREFIX_ONLY, f"completions will not use the text after the cursor: {hint}")


def _fall_back(reason: str, tokenizer: FimTokenizer, model_type: str | None) -> FimDetection:
    detected = _detect(tokenizer, model_type)
    rest = detected.warning or f"using {detected.format.name!r}, which its tokens fit"
    return FimDetection(detected.format, f"{reason}; {rest}")


def _fits(fim_format: FimFormat, tokenizer: FimTokenizer) -> bool:
    evidence = all(_control_id(token, tokenizer) is not None for token in fim_format.evidence_tokens)
    return evidence and not _missing_sentinels(fim_format, tokenizer)


def _missing_sentinels(fim_format: FimFormat, tokenizer: FimTokenizer) -> list[str]:
    return [token for token in fim_format.sentinel_tokens if _control_id(token, tokenizer) is None]


def _control_id(spelling: str | None, tokenizer: FimTokenizer) -> int | None:
    """The id of a token that text can never become; an ordinary token spelled alike would not do."""
    token_id = None if spelling is None else tokenizer.token_id(spelling)
    return token_id if token_id in tokenizer.special_token_ids else None


def _first_id(spellings: Sequence[str], tokenizer: FimTokenizer) -> int | None:
    ids = (_control_id(spelling, tokenizer) for spelling in spellings)
    return next((token_id for token_id in ids if token_id is not None), None)


def _start_ids(fim_format: FimFormat, tokenizer: FimTokenizer) -> tuple[int, ...]:
    if tokenizer.add_bos and tokenizer.bos_token_id is not None:
        return (tokenizer.bos_token_id,)
    ids = (_control_id(token, tokenizer) for token in fim_format.prompt_start_tokens)
    return tuple(token_id for token_id in ids if token_id is not None)


def _sentinel_lookalikes(tokenizer: FimTokenizer) -> list[str]:
    spellings = sorted(tokenizer.token_bytes(i).decode("utf-8", "replace") for i in tokenizer.special_token_ids)
    return [text for text in spellings if any(part in text for part in _FAMILIAR_SENTINELS)][:_MAX_NAMED_TOKENS]

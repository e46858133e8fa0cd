"""Definitions of other files that are probably needed at a place: what is behind the dot, what is used near it.

Each candidate has a score: how near its name, or the expression that it is a member of, is used; how much its name
is made of the words around the cursor; whether its neighbours in its file are used here. What the prompt shows
anyway counts less. The best are shown as signatures, what is left of a class or a module as bare names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from completion_server.context.definition import Definition, row_of
from completion_server.context.files import SourceText
from completion_server.context.nearby import parts_of
from completion_server.context.place import Place, Qualifier
from completion_server.context.reach import Reach, identifiers_in
from completion_server.context.usages import find_usages, usage_snippets
from completion_server.snippet import Snippet, SnippetKind

_OWN_NAME, _MEMBER_NAME, _IMPORTED_NAME = 2.0, 0.5, 0.3
_TARGET, _BASE_OF_TARGET = 8.0, 4.0
_NEIGHBOUR, _NEIGHBOUR_REACH = 0.6, 12
_SEEN_SHARE = 0.4
_MIN_GUESS = 0.15
_MAX_DEFINITIONS = 40
_MAX_CANDIDATES = 1500
_MAX_SHARE_OF_ONE, _MAX_SHARE_OF_TARGET = 0.25, 0.7
_MAX_SHARE_OF_GUESSES = 0.5
_MAX_SHARE_OF_NAMES = 0.3
_MAX_TARGETS = 3
_NEAR_QUALIFIER = 0.2
_CONSTRUCTORS = frozenset({"__init__", "constructor", "new"})
_SHARE_OF_USAGE, _SHARE_OF_USAGES = 0.3, 0.4


@dataclass
class _Found:
    """A definition, how much speaks for it, and where it is."""

    source: SourceText
    definition: Definition
    score: float = 0.0
    has_members: bool = False
    """Whether its members are wanted, and not only that it is known to be there."""
    is_guess: bool = True
    """Whether nothing but likeness speaks for it."""
    is_listed: bool = False
    """Whether it is one of the many of a module, for which its name alone may do."""
    is_target: bool = False
    """Whether a member of it is being written, or of one near by."""
    used_names: set[str] = field(default_factory=set)


class _Scores:
    """Collects what speaks for each definition."""

    def __init__(self, place: Place, uses: Mapping[str, float]) -> None:
        """``uses``: how often names stand behind the cursor's qualifier elsewhere, from 0 to 1."""
        self.place = place
        self._uses = uses
        self.found: dict[tuple[str, int], _Found] = {}

    def add(self, source: SourceText, definition: Definition, score: float, used: Iterable[str] = ()) -> _Found:
        key = source.path, definition.first_line
        each = self.found.setdefault(key, _Found(source, definition))
        each.score = max(each.score, score)
        each.used_names.update(used)
        return each

    def likeness(self, name: str) -> float:
        """How much ``name`` is made of the words around the cursor; more where it goes on with what was typed."""
        place = self.place
        parts = parts_of(name)
        score = sum(place.parts.get(part, 0.0) for part in parts) / (len(parts) + 1) if parts else 0.0
        score += self._uses.get(name, 0.0)
        if place.typed:
            score = score + 1.0 if name.startswith(place.typed) else score * 0.3
        return score * _SEEN_SHARE if name in place.seen else score

    def member_weights(self, definition: Definition, *, is_target: bool) -> dict[str, float]:
        """Name of a member -> its weight. Of what stands before the dot those not yet seen come first."""
        weights = {}
        place = self.place
        for member in definition.members:
            name = member.name
            if is_target:
                is_minor = name.startswith("_") or member.text.lstrip().startswith("self.")
                weights[name] = self.likeness(name) + 0.3 * (name not in place.seen) + 0.3 * (not is_minor)
            else:
                is_constructor = name in _CONSTRUCTORS
                weights[name] = place.weights.get(name, 0.0) + 0.3 * self.likeness(name) + 0.5 * is_constructor
        return weights


def definition_snippets(
    reach: Reach, place: Place, hints: Mapping[tuple[str, ...], Sequence[str]], max_chars: int
) -> tuple[list[Snippet], frozenset[str]]:
    """Snippets, one per file, the most wanted first, in about ``max_chars``; and the names used that they explain.

    ``hints`` are the types that the steps of each qualifier of ``place`` may have.
    """
    usages = find_usages(place, [*reach.siblings(), *(source for _, source in reach.imported)])
    scores = _Scores(place, usages.shares)
    _add_imported(scores, reach)
    _add_used(scores, reach.package)
    for qualifier in place.qualifiers:
        _add_qualified(scores, reach, qualifier, hints.get(qualifier.steps, ()))
    _add_guesses(scores, reach.open_sources)
    found = [each for each in scores.found.values() if each.score > 0.0]
    ranked = sorted(found, key=lambda each: (-each.score, each.source.path, each.definition.first_line))
    is_known = any(each.is_target or (each.is_listed and not each.is_guess) for each in ranked)
    share = _SHARE_OF_USAGE if is_known else _SHARE_OF_USAGES
    lines = usage_snippets(usages, scores.likeness, int(max_chars * share))
    room = max_chars - sum(len(each.text) + len(each.path) for each in lines)
    snippets, explained = _render(ranked[:_MAX_DEFINITIONS], scores, room)
    if lines and place.is_member:
        explained |= {place.qualifiers[0].text}
    return snippets + lines, explained


def _add_imported(scores: _Scores, reach: Reach) -> None:
    for wanted, source in reach.imported:
        for name in wanted.names:
            if name in source.by_name:
                _add_name(scores, source, name, _IMPORTED_NAME)
        if wanted.is_all or not any(name in source.by_name for name in wanted.names):
            _add_used(scores, [source])  # all of it, or ``from package import module``


def _add_used(scores: _Scores, sources: Iterable[SourceText]) -> None:
    for source in sources:
        for name in source.by_name.keys() & scores.place.weights.keys():
            _add_name(scores, source, name, 0.0)


def _add_name(scores: _Scores, source: SourceText, name: str, base: float) -> None:
    """``name`` is used, or may be."""
    definition = source.by_name[name]
    weights = scores.place.weights
    used = [each.name for each in definition.members if each.name in weights]
    score = base + _OWN_NAME * weights.get(name, 0.0) + _MEMBER_NAME * sum(weights[each] for each in used)
    each = scores.add(source, definition, score, [*used, *([name] if name in weights else [])])
    each.has_members |= name in weights or bool(used)
    each.is_guess = False


def _add_qualified(scores: _Scores, reach: Reach, qualifier: Qualifier, types: Sequence[str]) -> None:
    """What may stand behind ``qualifier``: the names of a module, the members of a type."""
    weight = qualifier.weight if scores.place.is_member else qualifier.weight * _NEAR_QUALIFIER
    used = [qualifier.text] if qualifier.weight == 1.0 else []  # or every line would ask for other snippets
    for source, definition in reach.behind_module(qualifier.steps, is_path=qualifier.link == "::"):
        score = 0.5 * _TARGET * weight * (0.2 + max(map(scores.likeness, definition.names)))
        each = scores.add(source, definition, score, used)
        each.is_guess = False
        each.is_listed = True
        each.has_members |= len(definition.names) > 1
    for source, definition in reach.types_behind(qualifier.steps, types)[:_MAX_TARGETS]:
        _add_target(scores, reach, source, definition, _TARGET * weight, used)


def _add_target(
    scores: _Scores, reach: Reach, source: SourceText, definition: Definition, score: float, used: Sequence[str]
) -> None:
    """A type whose member is (or may be) written here: it, its methods elsewhere, what it inherits."""
    is_for_trait = " for " in definition.head.partition("{")[0]
    each = scores.add(source, definition, score * (0.5 if is_for_trait else 1.0), used)
    each.has_members, each.is_guess, each.is_target = True, False, True
    for other, method in reach.methods_of(definition.name, source):
        share = 0.4 + 0.6 * scores.likeness(method.name) if method.name not in scores.place.seen else 0.2
        added = scores.add(other, method, score * share, used)
        added.is_guess, added.is_listed = False, True
    for name in identifiers_in(definition.head.partition("\n")[0])[2:6]:
        for other, base in reach.named(name)[:1]:
            if base.members and base is not definition:
                inherited = scores.add(other, base, score * _BASE_OF_TARGET / _TARGET, used)
                inherited.has_members, inherited.is_guess, inherited.is_target = True, False, True


def _add_guesses(scores: _Scores, sources: Sequence[SourceText]) -> None:
    """Names that could stand here as they are: like the words around, or next to what is used around."""
    weights = scores.place.weights
    scale = 0.3 if scores.place.is_member else 1.0
    num_looked_at = 0
    for source in sources:
        used = [number for number, each in enumerate(source.definitions) if each.names & weights.keys()]
        for number, definition in enumerate(source.definitions):
            num_looked_at += 1
            if num_looked_at > _MAX_CANDIDATES:
                return
            if not definition.is_named:
                continue
            near = min((abs(number - each) for each in used), default=_NEIGHBOUR_REACH)
            score = max(map(scores.likeness, definition.names))
            if near < _NEIGHBOUR_REACH and not definition.names <= scores.place.seen:
                score += _NEIGHBOUR / (1 + near)
            if score >= _MIN_GUESS:
                each = scores.add(source, definition, scale * score)
                each.has_members |= bool(definition.names & weights.keys()) or len(definition.names) > 1
                each.is_listed |= each.is_guess


def _render(ranked: Sequence[_Found], scores: _Scores, max_chars: int) -> tuple[list[Snippet], frozenset[str]]:
    """Takes definitions in order of rank as long as they fit; puts those of one file together, in its order."""
    texts: dict[str, list[tuple[_Found, str]]] = {}
    left: dict[str, list[str]] = {}
    explained: set[str] = set()
    num_used = num_guessed = 0
    for each in ranked:
        path = each.source.path
        room = max_chars - num_used
        if each.is_listed:
            room = int(max_chars * (1 - _MAX_SHARE_OF_NAMES)) - num_used
        if each.is_guess:
            room = min(room, int(max_chars * _MAX_SHARE_OF_GUESSES) - num_guessed)
        path_chars = 0 if path in texts else len(path) + 4
        share = _MAX_SHARE_OF_TARGET if each.is_target else _MAX_SHARE_OF_ONE
        text = _text_of(each, scores, min(room - path_chars, max(int(max_chars * share), 200)))
        if not text:
            if (each.is_listed and each.definition.is_named) or each.is_target:
                left.setdefault(path, []).append(each.definition.name)
            continue
        num_used += len(text) + path_chars
        num_guessed += len(text) if each.is_guess else 0
        texts.setdefault(path, []).append((each, text))
        explained |= each.used_names
    snippets = []
    for path, group in texts.items():
        snippet = _snippet(path, group)
        row = row_of(left.get(path, ()), max_chars - num_used)
        num_used += len(row)
        snippets.append(replace(snippet, text=snippet.text + row) if row else snippet)
    return snippets, frozenset(explained)


def _text_of(each: _Found, scores: _Scores, max_chars: int) -> str:
    definition = each.definition
    if each.has_members or (not definition.members and definition.names & scores.place.weights.keys()):
        weights = scores.member_weights(definition, is_target=each.is_target)
        text = definition.render(weights, max_chars)
        if (text and not text.startswith("impl")) or text.count("\n") > 2:
            return text
    signature = definition.signature
    return signature if 1 < len(signature) <= max_chars and not signature.startswith("impl") else ""


def _snippet(path: str, group: list[tuple[_Found, str]]) -> Snippet:
    group.sort(key=lambda pair: pair[0].definition.first_line)
    first = group[0][0]
    return Snippet(
        path,
        first.source.language_id,
        first.definition.first_line,
        max(each.definition.end_line for each, _ in group),
        SnippetKind.DEFINITION,
        "".join(text for _, text in group),
    )

"""A text whose end is arbitrary is cut back to where a reader would expect one."""

from __future__ import annotations

import regex

from completion_server.postprocess.place import Place

_LETTERS_AT_END = regex.compile(r"[\w\p{M}]+$")
_WORD_BOUNDARY = regex.compile(r"(?V1w)\b")
_ONE_LETTER_WORD = regex.compile(r"[\p{Han}\p{Hiragana}\p{Bopomofo}\p{Yi}]")
_WITHOUT_SPACES = regex.compile(r"\p{Line_Break=Complex_Context}")
_LAST_CHARACTER = regex.compile(r"\X$")


def cut_to_clean_end(text: str, place: Place) -> str:
    """After the clock or the length ended it: whole lines if there are several, else whole words."""
    if not place.is_partial:
        return text
    head, line_end, _last_line = text.rpartition("\n")
    if line_end and head.strip():
        return head
    return cut_unfinished_word(text)


def cut_unfinished_word(text: str) -> str:
    """``text`` without a last word that may have been about to go on (``self.conf`` of ``self.config``).

    Words end at the boundaries of UAX 29, so a Chinese or Japanese clause loses no more than a word of Latin
    letters or katakana. Thai, Lao, Khmer and Burmese have no such boundaries without a dictionary. Their text
    loses its last user-perceived character, because more marks may belong to it.
    """
    letters = _LETTERS_AT_END.search(text)
    if letters is None:
        return text
    last_word = [word for word in _WORD_BOUNDARY.split(letters[0]) if word][-1]
    if _WITHOUT_SPACES.match(last_word):
        return text[: _LAST_CHARACTER.search(text).start()]
    return text if _ONE_LETTER_WORD.match(last_word) else text[: -len(last_word)]

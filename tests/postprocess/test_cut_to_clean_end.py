"""A text that the clock ended is cut back to a whole line or word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.postprocess.partial import cut_to_clean_end, cut_unfinished_word
from tests.support.places import place_at


@pytest.mark.parametrize(
    ("text", "expected"),
    [("self.conf", "self."), ("foo(", "foo("), ("a = 1\nb = lon", "a = 1"), ("conf", ""), ("\n    x", "\n    ")],
)
def test_a_partial_text_ends_at_a_clean_place(text: str, expected: str) -> None:
    assert cut_to_clean_end(text, place_at("ˇ", is_partial=True)) == expected
    assert cut_to_clean_end(text, place_at("ˇ")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return self.conf", "return self."),
        ("the quick bro", "the quick "),
        ("foo_bar1", ""),
        ("f(x) + ", "f(x) + "),
        ("", ""),
        ("今日は良い天気です", "今日は良い天気です"),
        ("我喜欢吃苹果和", "我喜欢吃苹果和"),
        ("我喜欢用Pyth", "我喜欢用"),
        ("我喜欢用 Python 写", "我喜欢用 Python 写"),
        ("漢字とカタカ", "漢字と"),
        ("ひらがなだけ", "ひらがなだけ"),
        ("完了。次の", "完了。次の"),
        ("การเขียนโปรแกรม", "การเขียนโปรแกร"),
        ("ภาษาที่", "ภาษา"),
        ("ສະບາຍດີ", "ສະບາຍ"),
        ("ភាសាខ្មែរ", "ភាសាខ្មែ"),
        ("မြန်မာစာ", "မြန်မာစ"),
        ("한국어 단어를", "한국어 "),
        ("שלום עול", "שלום "),
        ("привет ми", "привет "),
        ("हिन्दी भाषा", "हिन्दी "),
        ("cafe\u0301", ""),
        ("日本語 e\u0301te\u0301", "日本語 "),
        ("値は😀", "値は😀"),
        ("𠮷野家", "𠮷野家"),
    ],
)
def test_whole_words_are_kept(text: str, expected: str) -> None:
    assert cut_unfinished_word(text) == expected


@given(st.text())
def test_what_is_kept_is_the_beginning_of_the_text(text: str) -> None:
    kept = cut_unfinished_word(text)
    assert text.startswith(kept)
    assert cut_unfinished_word(kept + " ") == kept + " "

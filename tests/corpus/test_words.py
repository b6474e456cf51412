"""Words in scripts with spaces and without."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from recbole_cllm4rec.corpus.words import split_words
from recbole_cllm4rec.model.closed_form import tfidf_rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red LIP-stick, 3 oz. x10", ["red", "lip", "stick", "oz", "x10"]),
        ("crème brûlée Straße", ["crème", "brûlée", "straße"]),
        ("cre\u0300me", ["cre\u0300me"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("हिन्दी फिल्म", ["हिन्दी", "फिल्म"]),
        ("手机壳", ["手机", "机壳"]),
        ("iPhone手机 16", ["iphone", "手机", "16"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("茶", ["茶"]),
        ("한국어 책", ["한국어"]),
        ("สบู่", ["สบ", "บู", "ู่"]),
        ("", []),
    ],
)
def test_by_hand(text: str, words: list[str]) -> None:
    assert split_words(text) == words


# The capital İ is left out: its lower case is the one of these with a mark, at which scikit-learn ends the word.
@given(st.text(st.characters(max_codepoint=0x2FF, exclude_characters="İ")))
def test_latin_is_split_as_scikit_learn_splits_it(text: str) -> None:
    assert split_words(text) == TfidfVectorizer().build_analyzer()(text)


@pytest.mark.parametrize(
    "titles",
    [
        ["", "हिन्दी फिल्म", "हिन्दी गीत", "अंग्रेज़ी फिल्म", "गीत"],
        ["", "手机壳", "新手机", "皮壳", "皮"],
    ],
)
def test_items_share_words_whatever_the_script(titles: list[str]) -> None:
    rows = tfidf_rows(titles)
    assert rows.shape[1] > 0
    assert (rows[1] @ rows[2].T).sum() > 0

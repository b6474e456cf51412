"""Texts of rows: composed of cells, found by id, the first of several."""

import pandas as pd
import pytest

from recbole_cllm4rec.corpus.raw_texts import RawTexts, Wanted, compose
from recbole_cllm4rec.corpus.text import Review
from recbole_cllm4rec.errors import UserError

ITEMS = pd.DataFrame(
    {"item_id:token": ["7", "7", "8", "9"], "title:token_seq": ["", "Red\\nblue", "Comb", "Gone"]}, dtype=str
)


def test_compose() -> None:
    assert compose({"title": "Lip stick.", "brand": " Acme ", "year": ""}, None) == "Lip stick. Acme."
    assert compose({"title": "Lip stick?"}, None) == "Lip stick?."
    assert compose({"title": "", "brand": " "}, None) == ""
    assert compose({"title": "", "brand": " "}, "{title} by {brand}") == ""
    assert compose({"title": "Lip {0} stick", "brand": ""}, "{title} by {brand} {{x}}") == "Lip {0} stick by  {x}"


@pytest.mark.parametrize(("escaped", "text"), [(True, "Red\nblue."), (False, "Red\\nblue.")])
def test_the_first_text_of_an_id(escaped: bool, text: str) -> None:
    texts = RawTexts()
    texts.keep(ITEMS, Wanted("item", ["item_id"], ["title"], None, escaped), "shop.item")
    assert texts.by_id("item", {"[PAD]": 0, "8": 1, "7": 2, "10": 3}, 4) == ["", "Comb.", text, ""]
    assert texts.rows("item")[0] == (("7",), "")


def test_reviews_have_both_ids() -> None:
    frame = pd.DataFrame(
        {"user:token": ["a", "b", "a"], "item:token": ["x", "x", "y"], "review:token_seq": ["good", " ", "bad"]}
    )
    texts = RawTexts()
    texts.keep(frame, Wanted("inter", ["user", "item"], ["review"], "Says: {review}", False), "shop.inter")
    assert texts.reviews({"a": 1, "b": 2}, {"x": 1}) == [Review(1, 1, "Says: good"), Review(1, 0, "Says: bad")]


@pytest.mark.parametrize(
    ("fields", "template", "message"),
    [
        (["titel"], None, "shop.item has no column 'titel', which text_fields[item] needs; it has item_id, title; did"),
        (["title"], "{brand}", "text_template[item] uses 'brand', which is not among text_fields[item]: title"),
        (["title"], "{title", "text_template[item] is '{title': "),
    ],
)
def test_mistakes(fields: list[str], template: str | None, message: str) -> None:
    with pytest.raises(UserError) as caught:
        RawTexts().keep(ITEMS, Wanted("item", ["item_id"], fields, template, False), "shop.item")
    assert str(caught.value).startswith(message)

"""The lengths of amazon-beauty, and how they were counted."""

from benchmarks.lengths import BACKBONES, count_lengths, read_lengths


def test_those_of_amazon_beauty():
    for backbone in BACKBONES:
        lengths = read_lengths(backbone)
        assert [len(part) for part in (lengths.histories, lengths.items, lengths.reviews)] == [10553, 6086, 3375]
        assert lengths.histories.sum() == 70614  # training interactions
        assert lengths.items.min() >= 1


def test_counting_by_hand(tmp_path, bert):
    # A letter is a token, whatever the tokenizer has learnt.
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.train.inter").write_text(
        "user_id:token\titem_id:token\tposition:float\tsummary:token_seq\treview:token_seq\n"
        "a\tx\t0\tb d\ta e r\na\ty\t1\t\t\nb\tx\t0\t\tg\n"
    )
    (folder / "shop.item").write_text("item_id:token\ttitle:token_seq\tbrand:token_seq\nx\tl\ti\ny\ts\t\n")
    counts = count_lengths(folder, {"some": str(bert)})
    assert counts == {"histories": {"1": 1, "2": 1}, "some": {"items": {"1": 1, "2": 1}, "reviews": {"1": 1, "5": 1}}}

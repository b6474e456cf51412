"""The paper's layout: a tiny folder by hand, every mistake that can be in one, and the paper's own AM-Beauty."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import yaml

from dataset_prep.__main__ import main
from recbole_cllm4rec.corpus.escape import unescape

TSV = {
    "interactions.tsv": (
        "user_idx\titem_idx\tsplit\tuser\tasin\tposition\n"
        "0\t0\ttrain\tann\tA0\t1\n"
        "0\t1\ttrain\tann\tNA\t0\n"
        "0\t2\tval\tann\tA2\t2\n"
        "0\t3\ttest\tann\tA3\t9\n"
        "1\t2\ttrain\tbob\tA2\t0\n"
        "1\t3\tval\tbob\tA3\t1\n"
        "1\t0\ttest\tbob\tA0\t2\n"
    ),
    "users.tsv": "user_idx\tuser\n0\tann\n1\tbob\n",
    "items.tsv": (
        "item_idx\tasin\tmore\ttitle\tcategories\n"
        '0\tA0\tx\t"Soap\tBath > Soap\n'
        "1\tNA\tx\tnull\tBath\n"
        '2\tA2\tx\tComb, 5" \\ 12 cm\tHair\n'
        "3\tA3\tx\t\t\n"
    ),
    "item_brand_description.tsv": "item_idx\tbrand\tdescription\n2\tNA\t\n0\tDove\tMild\u2028soap.\n",
    "reviews_1user.tsv": 'user_idx\titem_idx\tsummary\treview\n0\t1\tGood\t"Good" \\n it\'s\x0bnone\n',
}
SPLIT = {"train": [(0, 0), (0, 1), (1, 2)], "val": [(0, 2), (1, 3)], "test": [(0, 3), (1, 0)]}
REQUIRED = "train_matrix.npz, val_matrix.npz, test_matrix.npz, interactions.tsv, users.tsv, items.tsv"
REAL = Path(__file__).parents[3] / "shared" / "data" / "amazon-beauty"


def save_matrix(path: Path, pairs: list[tuple[int, int]], shape: tuple[int, int] = (2, 4)) -> None:
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    sp.save_npz(path, sp.csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape))


@pytest.fixture
def raw(tmp_path, monkeypatch) -> Path:
    """The folder ``raw`` in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("raw")
    folder.mkdir()
    for name, text in TSV.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for part, pairs in SPLIT.items():
        save_matrix(folder / f"{part}_matrix.npz", pairs)
    return folder


def convert(*more: str) -> int:
    return main(["paper-layout", "raw", "--out", "dataset/tiny", *more])


def refusal(capsys) -> str:
    """The one line that a refused conversion prints; nothing is left under the dataset's name."""
    assert convert() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dataset_prep: ")
    assert err.count("\n") == 1
    assert not Path("dataset/tiny").exists()
    return err.removeprefix("dataset_prep: ").removesuffix("\n")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def test_files_by_hand(raw, capsys):
    assert convert() == 0
    files = {path.name: path.read_bytes().decode() for path in Path("dataset/tiny").iterdir()}
    card, settings = files.pop("tiny.card.md"), files.pop("tiny.yaml")
    header = "user_id:token\titem_id:token\tposition:float\tsummary:token_seq\treview:token_seq\n"
    assert files == {
        "tiny.train.inter": (
            header + "ann\tA0\t1\t\t\n" + 'ann\tNA\t0\tGood\t"Good" \\\\n it\'s\x0bnone\n' + "bob\tA2\t0\t\t\n"
        ),
        "tiny.valid.inter": header + "ann\tA2\t2\t\t\nbob\tA3\t1\t\t\n",
        "tiny.test.inter": header + "ann\tA3\t9\t\t\nbob\tA0\t2\t\t\n",
        "tiny.item": (
            "item_id:token\ttitle:token_seq\tcategories:token_seq\tbrand:token_seq\tdescription:token_seq\n"
            'A0\t"Soap\tBath > Soap\tDove\tMild\u2028soap.\n'
            "NA\tnull\tBath\t\t\n"
            'A2\tComb, 5" \\\\ 12 cm\tHair\tNA\t\n'
            "A3\t\t\t\t\n"
        ),
    }
    assert yaml.safe_load(settings) == {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "position",
        "load_col": {"inter": ["user_id", "item_id", "position"], "item": ["item_id"]},
        "benchmark_filename": ["train", "valid", "test"],
        "text_fields": {"item": ["title", "categories", "brand", "description"], "inter": ["summary", "review"]},
        "text_escaped": True,
        "history_mask": "train",
        "topk": [1],
        "metrics": ["Recall", "NDCG", "CappedRecall"],
        "valid_metric": "NDCG@1",
        "table_metrics": ["recall@1", "ndcg@1"],
    }
    assert settings.startswith("# Made by: python -m dataset_prep paper-layout raw --out dataset/tiny\n# train_matrix")
    assert "| 2 | 4 | 3 | 2 | 2 | 12.50% |" in card  # 7 of 8 pairs interact
    assert "| train.inter: review | 3 | 1 | 33.3% | 4 | 4 | 4 | 4 | 4 |" in card
    assert capsys.readouterr().out == (
        "Wrote dataset/tiny: 2 users, 4 items, 3 train interactions, 2 valid interactions, 2 test interactions "
        "(more in tiny.card.md).\n"
        "Next: python run_recbole.py --model=CLLM4Rec --dataset=tiny --backbone=minilm\n"
    )


def test_without_the_optional_files(raw):
    (raw / "item_brand_description.tsv").unlink()
    (raw / "reviews_1user.tsv").unlink()
    assert convert() == 0
    folder = Path("dataset/tiny")
    assert (folder / "tiny.test.inter").read_text() == (
        "user_id:token\titem_id:token\tposition:float\nann\tA3\t9\nbob\tA0\t2\n"
    )
    assert (folder / "tiny.item").read_text().startswith("item_id:token\ttitle:token_seq\tcategories:token_seq\n")
    assert yaml.safe_load((folder / "tiny.yaml").read_text())["text_fields"] == {"item": ["title", "categories"]}


def test_the_output_depends_on_neither_the_place_nor_the_day(raw, capsys):
    assert convert() == 0
    shutil.copytree("raw", "elsewhere/raw")
    assert main(["paper-layout", "elsewhere/raw", "--out", "there/tiny"]) == 0
    assert capsys.readouterr().out.endswith("--dataset=tiny --backbone=minilm --data_path=there\n")
    for path in Path("dataset/tiny").iterdir():
        assert path.read_bytes() == (Path("there/tiny") / path.name).read_bytes()


def test_missing_files(raw, capsys):
    (raw / "val_matrix.npz").unlink()
    (raw / "users.tsv").unlink()
    assert refusal(capsys) == f"raw lacks val_matrix.npz, users.tsv; expected are {REQUIRED}"
    shutil.rmtree(raw)
    assert refusal(capsys) == f"raw is not a folder; give one that holds {REQUIRED}"


def test_two_files_of_reviews(raw, capsys):
    shutil.copy(raw / "reviews_1user.tsv", raw / "reviews.tsv")
    assert refusal(capsys) == "raw holds reviews.tsv, reviews_1user.tsv; keep one file of reviews"


def test_matrices_of_different_shapes(raw, capsys):
    save_matrix(raw / "val_matrix.npz", SPLIT["val"], shape=(2, 5))
    assert refusal(capsys) == (
        "raw: train_matrix.npz is 2 x 4, val_matrix.npz is 2 x 5, test_matrix.npz is 2 x 4; "
        "all three must be of one shape, users x items"
    )


def test_a_pair_in_two_parts(raw, capsys):
    save_matrix(raw / "test_matrix.npz", [(0, 3), (0, 1), (1, 0)])
    assert refusal(capsys) == (
        "raw: user_idx 0, item_idx 1 is in train_matrix.npz and in test_matrix.npz; a pair may be in one part only"
    )


def test_a_matrix_without_pairs(raw, capsys):
    save_matrix(raw / "val_matrix.npz", [])
    assert refusal(capsys) == "raw/val_matrix.npz holds no pair; each part of the split needs some"


def test_a_matrix_with_an_index_out_of_range(raw, capsys):
    arrays = {"data": np.ones(2), "indices": np.array([2, 4]), "indptr": np.array([0, 1, 2])}
    np.savez(raw / "val_matrix.npz", format=b"csr", shape=(2, 4), **arrays)
    message = refusal(capsys)
    assert message.startswith("raw/val_matrix.npz is not an intact file of scipy.sparse.save_npz (")
    assert "< 4" in message


@pytest.mark.parametrize("damage", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_damaged_matrix(raw, capsys, damage):
    (raw / "test_matrix.npz").write_bytes(damage)
    message = refusal(capsys)
    assert message.startswith("raw/test_matrix.npz is not an intact file of scipy.sparse.save_npz (")
    assert message.endswith("); copy it anew")


def test_text_in_another_encoding(raw, capsys):
    (raw / "items.tsv").write_bytes(TSV["items.tsv"].replace("null", "Crème").encode("latin-1"))
    assert refusal(capsys) == "raw/items.tsv, line 3: not UTF-8; save the file in that encoding"


TAB = "one tab separates two fields, and none holds a tab or a line break"
MEND = "mend the one that is wrong"
LEAK = "only train pairs may have a review: remove the line"
MISTAKES = {
    "split disagrees": (
        ("interactions.tsv", "0\t1\ttrain", "0\t1\tval"),
        f"line 3, user_idx 0, item_idx 1: split is 'val', but 'train' according to the matrices; {MEND}",
    ),
    "unknown split": (
        ("interactions.tsv", "0\t1\ttrain", "0\t1\tvalid"),
        f"line 3, user_idx 0, item_idx 1: split is 'valid', but 'train' according to the matrices; {MEND}",
    ),
    "pair in no matrix": (
        ("interactions.tsv", "1\t3\tval", "1\t1\tval"),
        f"line 7, user_idx 1, item_idx 1: split is 'val', but 'in no part' according to the matrices; {MEND}",
    ),
    "pair without a line": (
        ("interactions.tsv", "1\t3\tval\tbob\tA3\t1\n", ""),
        " lacks user_idx 1, item_idx 3, which val_matrix.npz holds; add its line",
    ),
    "pair twice": (
        ("interactions.tsv", "0\t1\ttrain", "0\t0\ttrain"),
        "line 3, user_idx 0, item_idx 0 stands on an earlier line too; keep one",
    ),
    "wrong user": (
        ("interactions.tsv", "0\t3\ttest\tann", "0\t3\ttest\tbob"),
        f"line 5, user_idx 0, item_idx 3: user is 'bob', but 'ann' according to users.tsv; {MEND}",
    ),
    "wrong item": (
        ("interactions.tsv", "bob\tA3", "bob\tA0"),
        f"line 7, user_idx 1, item_idx 3: asin is 'A0', but 'A3' according to items.tsv; {MEND}",
    ),
    "user out of range": (
        ("interactions.tsv", "1\t3\tval", "2\t3\tval"),
        "line 7: user_idx is '2'; legal are whole numbers from 0 to 1",
    ),
    "item out of range": (
        ("item_brand_description.tsv", "2\tNA", "4\tNA"),
        "line 2: item_idx is '4'; legal are whole numbers from 0 to 3",
    ),
    "position not whole": (
        ("interactions.tsv", "A3\t9", "A3\t-1"),
        "line 5: position is '-1'; legal are whole numbers from 0 to 16777215",
    ),
    "raw id twice": (
        ("users.tsv", "1\tbob", "1\tann"),
        "line 3, user ann stands on an earlier line too; keep one",
    ),
    "index twice": (
        ("items.tsv", "3\tA3", "2\tA3"),
        "line 5, item_idx 2 stands on an earlier line too; keep one",
    ),
    "index absent": (
        ("users.tsv", "0\tann\n", ""),
        " lacks a row of user_idx 0; the matrices have indices 0 to 1",
    ),
    "column absent": (
        ("items.tsv", "\tasin\t", "\tasn\t"),
        "line 1: the header lacks 'asin'; "
        "it must name each of item_idx, asin, title, categories once; did you mean 'asn'?",
    ),
    "column twice": (
        ("items.tsv", "\tmore\t", "\ttitle\t"),
        "line 1: the header repeats 'title'; it must name each of item_idx, asin, title, categories once",
    ),
    "too few fields": (("items.tsv", "\t\t\n", "\t\n"), f"line 5: 4 fields, but the header has 5; {TAB}"),
    "too many fields": (("users.tsv", "bob", "b\tob"), f"line 3: 3 fields, but the header has 2; {TAB}"),
    "held-out review": (
        ("reviews_1user.tsv", "0\t1", "0\t2"),
        f"line 2, user_idx 0, item_idx 2: the pair is of val, not of train; {LEAK}",
    ),
    "review of no pair": (
        ("reviews_1user.tsv", "0\t1", "1\t1"),
        f"line 2, user_idx 1, item_idx 1: the pair is of no part, not of train; {LEAK}",
    ),
    "review twice": (
        ("reviews_1user.tsv", "0\t1\tGood", "0\t1\t\t\n0\t1\tGood"),
        "line 3, user_idx 0, item_idx 1 stands on an earlier line too; keep one",
    ),
    "brand twice": (
        ("item_brand_description.tsv", "2\tNA", "0\tNA"),
        "line 3, item_idx 0 stands on an earlier line too; keep one",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_table(raw, capsys, mistake):
    (name, old, new), message = MISTAKES[mistake]
    edit(raw / name, old, new)
    comma = "" if message.startswith(" ") else ", "
    assert refusal(capsys) == f"raw/{name}{comma}{message}"


def test_an_existing_dataset(raw, capsys):
    assert convert() == 0
    assert convert() == 0
    out = capsys.readouterr().out
    assert "dataset/tiny holds this very dataset already; --overwrite makes it anew.\nNext: python" in out
    edit(raw / "items.tsv", '"Soap', "Soap")
    assert convert() == 2
    assert capsys.readouterr().err == (
        "dataset_prep: --out dataset/tiny exists, made from other files of these names; add --overwrite to replace it\n"
    )
    assert convert("--overwrite") == 0


def test_an_existing_dataset_is_told_before_anything_is_read(raw, capsys):
    assert convert() == 0
    raw.rename("cooked")
    assert main(["paper-layout", "raw2", "--out", "dataset/tiny"]) == 2
    assert capsys.readouterr().err == (
        "dataset_prep: --out dataset/tiny exists (Made by: python -m dataset_prep paper-layout raw --out dataset/tiny)"
        ": choose another folder, or add --overwrite to replace it\n"
    )


def test_a_failure_of_the_file_system_is_one_line(raw, capsys):
    Path("dataset").write_text("a file where the folder should be")
    assert "dataset" in refusal(capsys)


@pytest.mark.parametrize("argv", [[], ["paper"], ["paper-layout"], ["paper-layout", "raw", "--out"]])
def test_a_wrong_command_line_is_one_line(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_names_every_file(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["paper-layout", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in [*REQUIRED.split(", "), "item_brand_description.tsv", "reviews*.tsv"])


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/amazon-beauty, the paper's AM-Beauty, is not here")
def test_the_papers_beauty(tmp_path):
    out = tmp_path / "beauty"
    assert main(["paper-layout", str(REAL), "--out", str(out)]) == 0

    def rows(ending: str) -> list[list[str]]:
        _, *lines, end = (out / f"beauty.{ending}").read_bytes().decode().split("\n")
        assert end == ""
        return [line.split("\t") for line in lines]

    users = [line.split("\t")[1] for line in (REAL / "users.tsv").read_text().split("\n")[1:-1]]
    asins = [line.split("\t")[1] for line in (REAL / "items.tsv").read_text().split("\n")[1:-1]]
    inter = {part: rows(f"{part}.inter") for part in ("train", "valid", "test")}
    assert {part: len(lines) for part, lines in inter.items()} == {"train": 70_614, "valid": 11_767, "test": 11_767}
    for part, authors in (("train", "train"), ("valid", "val"), ("test", "test")):
        pairs = zip(*sp.load_npz(REAL / f"{authors}_matrix.npz").nonzero(), strict=True)
        assert {(users[u], asins[i]) for u, i in pairs} == {(user, item) for user, item, *_ in inter[part]}
    assert {part: sum(bool(line[4]) for line in lines) for part, lines in inter.items()} == {
        "train": 3_375,
        "valid": 0,
        "test": 0,
    }
    item = {asin: [unescape(field) for field in fields] for asin, *fields in rows("item")}
    assert len(item) == 6_086
    assert item["B00027DDOQ"][0] == "Clean & Clear Clear Advantage Acne Spot Treatment, 0.75 Ounce"
    assert item["B00150LT40"][:2] == [
        "Seche Vite Dry Fast Top Nail Coat, 0.5 Ounce",
        "Beauty > Makeup > Nails > Top & Base Coats",
    ]
    assert 'Wig Head Stand - "C-Clamp" Manniquin Head Holder by 3rd Power' in {title for title, *_ in item.values()}

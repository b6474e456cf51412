"""Escaping, and the writing of any source's dataset: what is in the files, and what is never overwritten."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_prep.atomic import write
from dataset_prep.tables import Dataset, Table
from recbole_cllm4rec.corpus.escape import escape, unescape
from recbole_cllm4rec.errors import UserError

SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # where str.splitlines splits, besides \n and \r

NO_ITEM_TEXT = {"token_init": "random", "shared_words": False, "tfidf_weight": 0, "sentence_weight": 0}


def items(ids: list[str], titles: list[str]) -> Dataset:
    inter = pd.DataFrame({"user_id:token": ["u"], "item_id:token": [ids[0]], "rating:float": [4.5]})
    item = pd.DataFrame({"item_id:token": ids, "title:token_seq": titles})
    return Dataset({"inter": Table.of(inter), "item": Table.of(item)})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_escape_by_hand():
    assert escape("a\tb\nc\rd\\n") == r"a\tb\nc\rd\\n"
    assert unescape(r"a\tb\nc\rd\\n") == "a\tb\nc\rd\\n"
    assert unescape("C:\\dir\\") == "C:\\dir\\"  # never made by escape: kept as it is
    assert escape(SEPARATORS) == SEPARATORS


@given(st.text())
@example("\\t")
@example("\\\\\n")
@example("\r\n" + SEPARATORS)
def test_escape_is_undone_and_fits_one_field(text):
    assert unescape(escape(text)) == text
    assert not set("\t\n\r") & set(escape(text))


legal_id = st.text(min_size=1).filter(lambda text: not set("\t\n\r") & set(text) and text != "[PAD]")


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(legal_id, st.text(), min_size=1, max_size=20))
@example({"NA": 'a "quoted" title', '"': '"', "null": "", "é": "\\ \t \n \r " + SEPARATORS})
def test_an_item_file_holds_every_string(rows):
    with TemporaryDirectory() as folder:
        out = Path(folder, "toy")
        write(items(list(rows), list(rows.values())), out)
        lines = (out / "toy.item").read_bytes().decode().split("\n")
    header, *body, end = [line.split("\t") for line in lines]
    assert header == ["item_id:token", "title:token_seq"]
    assert [(id_, unescape(title)) for id_, title in body] == list(rows.items())
    assert end == [""]


def test_files_of_a_dataset_without_a_split(tmp_path):
    inter = pd.DataFrame(
        {"user_id:token": ["u", "v", "u"], "item_id:token": ["i", "i", "j"], "timestamp:float": [1, 2, 3]}
    )
    user = pd.DataFrame({"user_id:token": ["u", "v"], "biography:token_seq": ["cook", ""]})
    raw = tmp_path / "raw.json"
    raw.write_text("abc")
    facts = "TIME_FIELD: timestamp\n"
    dataset = Dataset({"inter": Table.of(inter), "user": Table.of(user)}, facts, (raw,))
    write(dataset, tmp_path / "a" / "toy", ("toy", "--min-rating", "4"))

    folder = tmp_path / "a" / "toy"
    assert names(folder) == {"toy.inter", "toy.user", "toy.yaml", "toy.card.md"}
    assert names(tmp_path / "a") == {"toy"}
    assert (folder / "toy.inter").read_bytes() == (
        b"user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nv\ti\t2\nu\tj\t3\n"
    )
    assert (folder / "toy.user").read_bytes() == b"user_id:token\tbiography:token_seq\nu\tcook\nv\t\n"
    text = (folder / "toy.yaml").read_text()
    assert text.startswith(
        "# Made by: python -m dataset_prep toy --min-rating 4 --out dataset/toy\n"
        "# raw.json: sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"  # FIPS 180-2, "abc"
    )
    assert yaml.safe_load(text) == {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "user": ["user_id"]},
        "text_fields": {"user": ["biography"]},
        "text_escaped": True,
        "for_model": {"CLLM4Rec": NO_ITEM_TEXT},
        "topk": [1],
        "metrics": ["Recall", "NDCG", "CappedRecall"],
        "valid_metric": "NDCG@1",
        "table_metrics": ["recall@1", "ndcg@1"],
    }


def test_counts_and_card_by_hand(tmp_path):
    # 1 user x 5 items, 1 interaction: sparsity 1 - 1/5. Words: none, 1, 2, 3 and 10 -> quantiles of {1, 2, 3, 10}.
    titles = [" ", "one", "one two", "one\ttwo\nthree", "w " * 10]
    summary = write(items(list("abcde"), titles), tmp_path / "toy")
    assert summary is not None
    assert summary.counts == {"users": 1, "items": 5, "interactions": 1}
    card = (tmp_path / "toy" / "toy.card.md").read_text().splitlines()
    assert "| users | items | interactions | sparsity |" in card
    assert "| 1 | 5 | 1 | 80.00% |" in card
    assert "| field | rows | with text | share | 25% | median | 75% | 95% | longest |" in card
    assert "| item: title | 5 | 4 | 80.0% | 1 | 2 | 3 | 10 | 10 |" in card


def test_card_of_a_field_without_any_text(tmp_path):
    write(items(["a"], [""]), tmp_path / "toy")
    assert "| item: title | 1 | 0 | 0.0% | – | – | – | – | – |\n" in (tmp_path / "toy" / "toy.card.md").read_text()


@pytest.mark.parametrize(
    ("n", "topk"),
    [(1, [1]), (5, [1]), (6, [1, 3]), (20, [3, 5, 10]), (79, [5, 10, 20]), (99, [10, 20, 40]), (100, None)],
)
def test_few_items_have_cut_offs_of_their_own(tmp_path, n, topk):
    write(items([str(k) for k in range(n)], [""] * n), tmp_path / "toy")
    settings = yaml.safe_load((tmp_path / "toy" / "toy.yaml").read_text())
    assert settings.get("topk") == topk
    assert settings.get("valid_metric") == (topk and f"NDCG@{topk[-1]}")
    assert topk is None or settings["table_metrics"][-1] == f"ndcg@{topk[-1]}"


def test_only_sources_with_text_are_among_the_text_fields(tmp_path):
    write(items(["a", "b"], ["", " \t"]), tmp_path / "none")
    settings = yaml.safe_load((tmp_path / "none" / "none.yaml").read_text())
    assert settings["text_fields"] == {}
    assert settings["for_model"] == {"CLLM4Rec": {"variant": "no-text"}}
    write(items(["a", "b"], ["", "b"]), tmp_path / "some")
    assert yaml.safe_load((tmp_path / "some" / "some.yaml").read_text())["text_fields"] == {"item": ["title"]}


def test_notes_stand_in_the_card(tmp_path):
    notes: list[str] = []

    def rows():
        yield "u", "a"
        notes.append("Known when all rows are read.")

    table = Table(("user_id:token", "item_id:token"), rows())
    write(Dataset({"inter": table}, notes=notes), tmp_path / "toy")
    assert "\nKnown when all rows are read.\n" in (tmp_path / "toy" / "toy.card.md").read_text()


@pytest.mark.parametrize("raw_id", ["", "a\tb", "a\nb", "a\r", "[PAD]"])
def test_an_illegal_id_leaves_nothing_behind(tmp_path, raw_id):
    with pytest.raises(UserError) as error:
        write(items(["a", raw_id], ["", ""]), tmp_path / "toy")
    assert str(error.value) == (
        f"toy.item would hold {raw_id!r} as item_id:token; "
        "a raw id is not empty, not RecBole's '[PAD]', and holds no tab or line break: mend it in the source"
    )
    assert names(tmp_path) == set()


def test_overwrite_replaces_the_whole_dataset(tmp_path):
    out = tmp_path / "toy"
    write(items(["a"], ["old"]), out)
    (out / "toy.user").write_text("user_id:token\nu\n")
    write(items(["a"], ["new"]), out, overwrite=True)
    assert (out / "toy.item").read_text() == "item_id:token\ttitle:token_seq\na\tnew\n"
    assert names(out) == {"toy.inter", "toy.item", "toy.yaml", "toy.card.md"}
    assert names(tmp_path) == {"toy"}


def test_a_failed_overwrite_keeps_the_old_dataset(tmp_path):
    out = tmp_path / "toy"
    write(items(["a"], ["old"]), out)
    with pytest.raises(UserError, match="would hold ''"):
        write(items(["a", ""], ["new", "new"]), out, overwrite=True)
    assert (out / "toy.item").read_text() == "item_id:token\ttitle:token_seq\na\told\n"
    assert names(tmp_path) == {"toy"}


def test_a_replacement_that_fails_at_last_puts_the_old_dataset_back(tmp_path, monkeypatch):
    out = tmp_path / "toy"
    write(items(["a"], ["old"]), out)
    rename = Path.rename

    def fail(path, target):
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        write(items(["a"], ["new"]), out, overwrite=True)
    assert (out / "toy.item").read_text() == "item_id:token\ttitle:token_seq\na\told\n"
    assert names(tmp_path) == {"toy"}


def test_files_of_one_name_are_told_by_their_folders(tmp_path):
    paths = [tmp_path / folder / "part-0.csv" for folder in ("clicks", "jobs")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("one")
    out = tmp_path / "tiny"

    def made() -> Dataset:
        return replace(items(["i"], ["lip"]), sources=tuple(paths), left_out={str(paths[1]): 2})

    assert write(made(), out)
    card = (out / "tiny.card.md").read_text()
    assert "clicks/part-0.csv" in card
    assert "2 lines of jobs/part-0.csv could not be used" in card
    assert write(made(), out) is None
    paths[0].write_text("two")
    with pytest.raises(UserError, match="made from other files of these names; add --overwrite"):
        write(made(), out)


def test_a_dataset_that_lacks_a_file_is_not_there(tmp_path):
    out = tmp_path / "tiny"
    assert write(items(["i"], ["lip"]), out)
    (out / "tiny.inter").unlink()
    with pytest.raises(UserError, match=r"tiny exists, without tiny\.inter; add --overwrite to make it anew"):
        write(items(["i"], ["lip"]), out)


def test_an_existing_folder_is_kept(tmp_path):
    out = tmp_path / "toy"
    out.mkdir()
    with pytest.raises(UserError) as error:
        write(items(["a"], [""]), out)
    assert str(error.value) == f"--out {out} exists (empty): choose another folder, or add --overwrite to replace it"
    assert names(out) == set()


@pytest.mark.parametrize("stranger", ["thesis.tex", "toy.py", "other.inter"])
def test_overwrite_spares_a_folder_with_other_files(tmp_path, stranger):
    out = tmp_path / "toy"
    out.mkdir()
    (out / stranger).write_text("precious")
    with pytest.raises(UserError) as error:
        write(items(["a"], [""]), out, overwrite=True)
    assert f"{out} holds {stranger!r}, no file of a dataset named toy" in str(error.value)
    assert (out / stranger).read_text() == "precious"


def test_overwrite_spares_folders(tmp_path):
    (tmp_path / "toy" / "toy.item").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds 'toy\.item', no file of a dataset"):
        write(items(["a"], [""]), tmp_path / "toy", overwrite=True)
    assert (tmp_path / "toy" / "toy.item").is_dir()


@pytest.mark.parametrize("name", ["..", ".hidden", "my data", "-x", "a,b"])
def test_a_name_must_be_easy_to_type(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a dataset; legal are letters, digits"):
        write(items(["a"], [""]), tmp_path / name)


def test_conversion_needs_neither_torch_nor_recbole():
    code = "import sys, dataset_prep.__main__; print({'torch', 'recbole', 'transformers'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

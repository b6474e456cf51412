"""Files of search spaces: our yaml, and RecBole's lines with the examples of its documentation."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.config_layers import properties_dir
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.tuning.space import Choice, Domain, Range
from recbole_cllm4rec.tuning.spacefile import packaged_space, read_space

PACKAGED = sorted(path.stem for path in (properties_dir() / "tuning").glob("*.yaml"))


def read(folder: Path, name: str, text: str) -> dict[str, Domain]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_space(folder / name).domains


def test_our_yaml(tmp_path: Path) -> None:
    text = """\
# a comment
learning_rate: {low: 1e-4, high: 1.0e-2, log: true}
embedding_size: {choices: [32, 64]}
n_layers:
  low: 1
  high: 4
mask_share: {choices: [0.2, [0.1, 0.6]]}
dropout_prob: {low: 0.0, high: 0.5, step: 0.1}
"""
    domains = read(tmp_path, "space.yaml", text)
    assert domains == {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "embedding_size": Choice([32, 64]),
        "n_layers": Range(1, 4),
        "mask_share": Choice([0.2, [0.1, 0.6]]),
        "dropout_prob": Range(0.0, 0.5, step=0.1),
    }
    whole = {name: domain.whole for name, domain in domains.items() if isinstance(domain, Range)}
    assert whole == {"learning_rate": False, "n_layers": True, "dropout_prob": False}
    assert read_space(tmp_path / "space.yaml").places["mask_share"] == f"{tmp_path / 'space.yaml'}, line 7"


def test_recbole_s_lines(tmp_path: Path) -> None:
    text = """\
learning_rate loguniform -8, 0
embedding_size choice [64, 96 , 128]
train_batch_size choice (512, 1024, 2048)
mlp_hidden_size choice ['[64, 64, 64]','[128, 128]']

hidden_act choice ["gelu",'relu']
item choice ['True', 'false', 'None', "id"]
attn_dropout_prob uniform 0.1,0.5
shrink quniform 0,1.04,0.1
n_layers quniform 1,4,1
cross_layer_num\tchoice [6]
# reg_weight choice [1]
"""
    assert read(tmp_path, "model.hyper", text) == {
        "learning_rate": Range(math.exp(-8), 1.0, log=True),
        "embedding_size": Choice([64, 96, 128]),
        "train_batch_size": Choice([512, 1024, 2048]),
        "mlp_hidden_size": Choice([[64, 64, 64], [128, 128]]),
        "hidden_act": Choice(["gelu", "relu"]),
        "item": Choice([True, False, None, "id"]),
        "attn_dropout_prob": Range(0.1, 0.5),
        "shrink": Range(0.0, 1.0, step=0.1),
        "n_layers": Range(1, 4, step=1),
        "cross_layer_num": Choice([6]),
    }


@given(
    st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique_by=repr),
    st.lists(st.floats(-50, 50), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_whatever_recbole_reads_is_read(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], bounds: list[float]
) -> None:
    low, high = bounds
    text = f"a choice {numbers}\nb uniform {low},{high}\nc loguniform {low}, {high}\n"
    near = math.exp(low) == math.exp(high)
    lines = text.splitlines()[: 2 if near else 3]
    domains = read(tmp_path_factory.getbasetemp(), "model.test", "\n".join(lines))
    assert domains["a"] == Choice(numbers)
    assert domains["b"] == Range(low, high)
    assert near or domains["c"] == Range(math.exp(low), math.exp(high), log=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.yaml", "a: {low: 1}", "s.yaml, line 1: a: takes either choices, or low and high"),
        ("s.yaml", "a: {choices: [1], low: 1}", "s.yaml, line 1: a: takes either choices, or low and high"),
        ("s.yaml", "a: {low: 1, high: 2}\nb: [1, 2]", "s.yaml, line 2: b: takes {low: …, high: …} or"),
        ("s.yaml", "a: {low: 1, high: 2, stp: 1}", "a: there is no 'stp', only choices, low, high, log, step; did you"),
        ("s.yaml", "a: {low: one, high: 2}", "line 1: a: low takes a whole number or a number, not 'one'"),
        ("s.yaml", "a: {choices: 3}", "line 1: a: choices takes a list of (anything), not 3"),
        ("s.yaml", "\na: {low: 5, high: 2}", "line 2: a: low 5 is not below high 2"),
        ("s.yaml", "a: {choices: [1]}\na: {choices: [2]}", "s.yaml, line 2: 'a' appears twice"),
        ("s.yaml", "a: {choices: [1}", "s.yaml, line 1: "),
        ("s.yaml", "# nothing\n", "s.yaml names no parameter to tune"),
        ("s.yml", "lr loguniform -8,0", "RecBole's lines belong in a file that does not end in .yaml"),
        ("s.hyper", "lr: {low: 1, high: 2}", "s.hyper, line 1: lr:: '{low:' is no kind of range: choice, uniform"),
        ("s.hyper", "lr", "s.hyper, line 1: lr: '' is no kind of range"),
        ("s.hyper", "\nlr normal 0,1", "s.hyper, line 2: lr: 'normal' is no kind of range"),
        ("s.hyper", "lr uniform 0", "line 1: lr: uniform takes 2 numbers with commas between, not '0'"),
        ("s.hyper", "lr uniform 0,1,2", "uniform takes 2 numbers"),
        ("s.hyper", "lr uniform 1,0", "line 1: lr: low 1.0 is not below high 0.0"),
        ("s.hyper", "lr loguniform 0,1000", "loguniform takes 2 numbers"),
        ("s.hyper", "lr quniform 0,1,0", "line 1: lr: the step 0.0 is not above 0"),
        ("s.hyper", "lr quniform 0,nan,1", "quniform takes 3 numbers"),
        ("s.hyper", "lr choice 3", "choice takes a list of numbers and quoted texts, not '3'"),
        ("s.hyper", "lr choice [gelu]", "choice takes a list of numbers and quoted texts, not '[gelu]'"),
        ("s.hyper", "lr choice [1]\nlr choice [2]", "line 2: lr: stands here for the second time"),
        ("s.hyper", "", "s.hyper names no parameter to tune"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read(tmp_path, name, text)
    assert "\n" not in str(caught.value)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        read(tmp_path, "s.hyper", "lr choice [open('pwned', 'w')]")
    assert read(tmp_path, "s.hyper", "lr choice [\"open('pwned', 'w')\"]") == {"lr": Choice(["open('pwned', 'w')"])}
    assert not (tmp_path / "pwned").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read: No such file or directory"):
        read_space(tmp_path / "nowhere.yaml")
    (tmp_path / "s.yaml").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"s\.yaml cannot be read: it is not UTF-8"):
        read_space(tmp_path / "s.yaml")


def test_a_model_without_a_space_of_its_own() -> None:
    with pytest.raises(UserError, match=r"no search space comes with DMF, only with BERT4Rec, .*: write one"):
        packaged_space("DMF")


@pytest.mark.parametrize("model", PACKAGED)
def test_the_space_of_every_model_is_legal(model: str) -> None:
    space = read_space(packaged_space(model))
    space.check(lambda values: configure(model, "ml-100k", (), values))

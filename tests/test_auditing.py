"""The audit as a command: its file, and how it is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from shop import SMALL, build_shop

from recbole_cllm4rec.auditing import audit, leak, read_audit, summary
from recbole_cllm4rec.cli import main
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.leakage import CHECKS, Verdict


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_shop(tmp_path)


def test_what_is_written_is_what_is_read() -> None:
    verdicts, path = audit("EASE", "shop", (), {**SMALL, "run_name": "mine"})
    assert path == Path("results/shop/mine.audit.json")
    found = read_audit(path)
    assert found["verdicts"] == verdicts
    assert [verdict.check for verdict in verdicts] == list(CHECKS)
    assert found["split"]["test"].startswith("12:")  # one of each user
    assert len(found["config_hash"]) == 16


def test_the_command_prints_a_line_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--topk=[3] --metrics=[NDCG] --valid_metric=NDCG@3 --gpu_id="
    assert main(["--model=EASE", "--dataset=shop", "--audit", *options.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"{len(CHECKS)} of {len(CHECKS)} checks passed", "results/shop/EASE.audit.json"]
    assert sum(line.startswith("✓") for line in lines) == len(CHECKS)


def test_a_leak_is_an_error_of_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [Verdict("parts", True, "none"), Verdict("graphs", False, "3 pairs")]
    monkeypatch.setattr("recbole_cllm4rec.auditing.audit", lambda *_: (verdicts, Path("there")))
    assert main(["--model=EASE", "--dataset=shop", "--audit"]) == 2
    assert capsys.readouterr().err == "error: 1 of the checks failed, see above\n"


@pytest.mark.parametrize("content", ["", "{}", '{"split": {}, "config_hash": "", "verdicts": [{"check": 1}]}'])
def test_a_corrupt_file_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "EASE.audit.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"EASE.audit.json is no audit that can be read .*: delete it"):
        read_audit(path)


def test_a_full_disk_leaves_the_earlier_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = audit("EASE", "shop", (), SMALL)
    before = json.loads(path.read_text(encoding="utf-8"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recbole_cllm4rec.report.result.os.fsync", full)
    with pytest.raises(UserError, match=r"EASE.audit.json: No space left on device; set result_dir"):
        audit("EASE", "shop", (), {**SMALL, "reg_weight": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == before


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("SASRec", {"n_heads": 3, "hidden_size": 64}, "RecBole refuses to build SASRec with these options: "),
        ("EASE", {"reg_weight": 0}, "RecBole refuses to build EASE with these options: "),
    ],
)
def test_what_a_run_refuses_an_audit_refuses(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        audit(model, "shop", (), {**SMALL, **options})


def test_numbering_is_no_leak_but_is_told() -> None:
    passed, numbered = Verdict("parts", True, "none"), Verdict("relabelling", False, "recall@20 0.1 becomes 0.2")
    assert leak([passed, numbered]) is None
    assert leak([numbered, Verdict("graphs", False, "3 pairs")]) == "the audit found a leak: graphs: 3 pairs"
    assert summary({"A": [passed], "B": [passed]}) == ["no leak: 1 checks of each of 2 rows passed"]
    assert summary({"A": [passed], "B": [numbered]}) == ["B: relabelling: recall@20 0.1 becomes 0.2"]

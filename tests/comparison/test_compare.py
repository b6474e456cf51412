"""Comparisons: what is run, what is reused, what is refused, and what a row says that could not be run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import stopping
from shop import SMALL
from tables import RESULTS, line, table

from recbole_cllm4rec.comparison import compare as comparison
from recbole_cllm4rec.comparison import job
from recbole_cllm4rec.comparison.compare import compare
from recbole_cllm4rec.comparison.job import Job
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.leakage import Verdict


class TestRuns:
    def test_seeds_share_the_split_and_come_in_turn(self, ran: list[tuple[str, int]]) -> None:
        found = table("EASE", "Pop", seeds=2, seed=7)
        assert ran == [("EASE", 7), ("Pop", 7), ("EASE", 8), ("Pop", 8)]
        assert found.head["seeds"] == [7, 8]
        assert line(found, "EASE").cells["ndcg@3"].std == 0

    def test_metrics_of_the_table_in_any_case(self, ran: list[tuple[str, int]]) -> None:
        found = table("EASE", topk=[3, 5], table_metrics=["NDCG@5"])
        assert list(line(found, "EASE").cells) == ["ndcg@5"]

    def test_a_model_may_have_seeds_of_its_own(self, ran: list[tuple[str, int]]) -> None:
        found = table("EASE", "Pop@1", seeds=3, seed=7)
        assert ran == [("EASE", 7), ("Pop", 7), ("EASE", 8), ("EASE", 9)]
        assert line(found, "Pop").cells["ndcg@3"].std is None
        assert line(found, "Pop").facts.seeds == [7]

    def test_what_is_finished_is_not_repeated(self, ran: list[tuple[str, int]]) -> None:
        table("EASE", "Pop")
        table("EASE", "Pop", seeds=2)
        assert ran[2:] == [("EASE", 2021), ("Pop", 2021)]

    def test_another_configuration_is_another_run(self, ran: list[tuple[str, int]]) -> None:
        table("EASE", "Pop")
        table("EASE", "Pop", reg_weight=10)
        assert ran[2:] == [("EASE", 2020)]

    def test_what_will_be_replaced_is_told(
        self, ran: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        table("EASE", "Pop", seeds=2)
        assert "replaced" not in capsys.readouterr().out
        table("EASE", "Pop", reg_weight=3.0)
        told = "EASE-2020.json is of another configuration, replaced now: another --result_dir keeps both"
        assert told in capsys.readouterr().out
        table("EASE", seeds=2, reg_weight=4.0)
        assert "EASE-2020.json and 1 more are of another configuration" in capsys.readouterr().out

    def test_where_files_are_is_no_part_of_a_configuration(self, ran: list[tuple[str, int]], tmp_path: Path) -> None:
        table("EASE")
        table("EASE", data_path=str(tmp_path / "dataset"), state="WARNING")
        assert len(ran) == 1

    def test_a_run_without_its_users_is_repeated(self, ran: list[tuple[str, int]]) -> None:
        table("EASE", "Pop")
        (RESULTS / "Pop-2020.users.npz").unlink()
        table("EASE", "Pop")
        assert ran[2:] == [("Pop", 2020)]

    def test_a_variant_is_a_row(self, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        heard = []
        monkeypatch.setattr(job, "attempt", lambda asked: heard.append(asked) or "stop here")
        with pytest.raises(UserError, match="no row has figures"):
            table("CLLM4Rec:LLM-CF", "CLLM4Rec", backbone="scratch")
        assert [(asked.title, asked.overrides.get("variant")) for asked in heard] == [
            ("LLM-CF, audit", "LLM-CF"),
            ("CLLM4Rec, audit", None),
        ]
        assert heard[0].digest != heard[1].digest


class TestRowsThatFail:
    def test_a_model_without_what_it_needs(self, ran: list[tuple[str, int]]) -> None:
        found = table("EASE", "S3Rec", seeds=2)
        assert "item_attribute is 'class', but the columns of shop.item are" in str(line(found, "S3Rec").error)
        assert line(found, "EASE").cells["ndcg@3"].mean > 0
        assert ran == [("EASE", 2020), ("EASE", 2021)]

    def test_a_model_that_cannot_follow_an_option(self, ran: list[tuple[str, int]]) -> None:
        found = table("BPR", "EASE", seeds=2, reference="EASE", learner="sparse_adam")
        assert str(line(found, "BPR").error).startswith("learner is sparse_adam, but gradients of BPR are not sparse")
        assert line(found, "EASE").cells["ndcg@3"].mean > 0
        assert ran == [("EASE", 2020), ("EASE", 2021)]

    def test_models_that_nobody_asked_for_have_no_say(self, ran: list[tuple[str, int]], tmp_path: Path) -> None:
        own = tmp_path / "mine.yaml"
        own.write_text("reg_weight: 3\n")
        compare(["EASE"], "shop", 1, None, [own], SMALL, "python run_recbole.py …")
        assert ran == [("EASE", 2020)]

    @pytest.mark.parametrize("models", [["FM", "EASE"], ["EASE", "FM"]])
    def test_a_model_that_scores_pairs_in_a_split_of_its_own(
        self, models: list[str], ran: list[tuple[str, int]]
    ) -> None:
        found = table(*models, reference="EASE")
        assert "scored on another split" in str(line(found, "FM").error)
        assert line(found, "EASE").cells["ndcg@3"].mean > 0

    def test_fewer_validations_than_there_are_epochs(self, ran: list[tuple[str, int]]) -> None:
        found = table("EASE", "BPR", "Pop", epochs=2, eval_step=5)
        assert not any(line.error for line in found.lines)

    def test_what_a_model_raises_is_its_rows(
        self, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        really = job.run

        def run(model: str, *rest: Any, **options: Any) -> Any:
            if model == "Pop":
                raise RuntimeError("first\nsecond")
            return really(model, *rest, **options)

        monkeypatch.setattr(job, "run", run)
        assert (
            line(table("EASE", "Pop"), "Pop").error == "RuntimeError: first second; see results/shop/log/Pop-2020.log"
        )
        assert "Traceback" in capsys.readouterr().err

    def test_another_split(self, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        def elsewhere(asked: Job) -> str | None:
            asked.overrides["split_seed"] = 1 if asked.row == "Pop" else 2020
            return job.attempt(asked)

        monkeypatch.setattr(comparison, "run_apart", elsewhere)
        assert "scored on another split, test " in str(line(table("EASE", "Pop"), "Pop").error)


class TestAudits:
    def test_every_row_has_one(self, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        table("EASE", "Pop", seeds=2)
        for row in ("EASE", "Pop"):
            found = json.loads((RESULTS / f"{row}.audit.json").read_text(encoding="utf-8"))
            assert all(verdict["passed"] for verdict in found["verdicts"])
        monkeypatch.setattr(job, "audit", lambda *_: pytest.fail("it is there"))
        table("EASE", "Pop", seeds=2)

    def test_pairs_that_may_repeat(self, ran: list[tuple[str, int]]) -> None:
        file = Path("dataset/shop/shop.inter")
        header, *rows = file.read_text().splitlines()
        file.write_text("\n".join([header, *rows, *rows]) + "\n")
        found = table("EASE", "BPR", repeatable=True)
        assert {line.error for line in found.lines} == {None}
        assert found.head["history_mask"] == "nothing"
        assert not re.search(r" 0 in two parts", (RESULTS / "EASE.audit.json").read_text())

    def test_a_row_that_leaks_is_not_run(self, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        really = job.audit

        def planted(model: str, *rest: Any) -> Any:
            verdicts, path = really(model, *rest)
            return [Verdict("graphs", model != "Pop", "3 of 20 held-out pairs"), *verdicts], path

        monkeypatch.setattr(job, "audit", planted)
        found = table("EASE", "Pop")
        assert line(found, "Pop").error == "the audit found a leak: graphs: 3 of 20 held-out pairs"
        assert ran == [("EASE", 2020)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("models", "options", "message"),
        [
            (["EASE", "Popp"], {}, "no model is called 'Popp'"),
            (["EASE", "EASE"], {}, "models has 'EASE' twice"),
            (["EASE", "EASE@2"], {}, "models has 'EASE' twice"),
            (["EASE@two"], {}, "models has 'EASE@two': after @ stands the number of its seeds, 999 at most, as EASE@3"),
            (["EASE@0"], {}, "models has 'EASE@0'"),
            (["EASE:tuned"], {}, "EASE has no variants: write EASE alone"),
            (["CLLM4Rec:LLM-CB"], {}, "CLLM4Rec has no variant 'LLM-CB'"),
            (["EASE", "Pop"], {"lambda_c": 1}, "'lambda_c' is an option of CLLM4Rec, not of EASE"),
            (["EASE", "Pop"], {"reg_wight": 1}, "'reg_wight' is not an option; did you mean 'reg_weight'?"),
            (["BPR", "EASE"], {"learner": "sparse_adam", "reg_wight": 1}, "'reg_wight' is not an option"),
            (["BPR"], {"learner": "sparse_adam"}, "no row has figures; BPR: learner is sparse_adam"),
            (["EASE"], {"reference": "BPR"}, "reference is 'BPR', which is not among the rows: EASE"),
        ],
    )
    def test_mistakes_are_found_before_the_first_run(
        self, models: list[str], options: dict[str, Any], message: str, ran: list[tuple[str, int]]
    ) -> None:
        with pytest.raises(UserError) as caught:
            table(*models, **options)
        assert message in str(caught.value)
        assert not ran

    def test_results_of_another_split(self, ran: list[tuple[str, int]]) -> None:
        table("EASE")
        (RESULTS / "comparison.json").unlink()
        before = {path: path.read_bytes() for path in RESULTS.iterdir() if path.is_file()}
        with pytest.raises(
            UserError, match=r"EASE.audit.json is of another split .*: move it, or set another result_dir"
        ):
            table("EASE", split_seed=1)
        assert {path: path.read_bytes() for path in before} == before

    def test_a_table_of_another_split(self, ran: list[tuple[str, int]]) -> None:
        table("EASE")
        ran.clear()
        with pytest.raises(UserError, match=r"comparison.json is of another test, its train part is .*: move it"):
            table("Pop", split_seed=1)
        assert not ran

    def test_results_of_other_data(self, ran: list[tuple[str, int]]) -> None:
        table("EASE", "TextEASE")
        file = Path("dataset/shop/shop.item")
        file.write_text(file.read_text().replace("red", "violet"))
        with pytest.raises(UserError, match=r"is of other data \(shop.item has changed\): move it, or set another"):
            table("EASE", "TextEASE")

    def test_no_user_is_tested(self, ran: list[tuple[str, int]]) -> None:
        with pytest.raises(UserError, match=r"^eval_args is .*'LS': 'valid_only'.*, by which no user is tested: "):
            table("EASE", **{"eval_args.order": "TO", "eval_args.split": {"LS": "valid_only"}})
        assert not ran

    def test_a_corrupt_result(self, ran: list[tuple[str, int]]) -> None:
        table("EASE")
        (RESULTS / "EASE-2020.json").write_text('{"run": ')
        with pytest.raises(UserError, match=r"EASE-2020.json is no JSON: .*; delete it and repeat the run"):
            table("EASE")
        assert (RESULTS / "EASE-2020.json").read_text() == '{"run": '


def test_what_was_killed_goes_on_in_its_midst(
    ran: list[tuple[str, int]], gpt2: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trained = {key: value for key, value in stopping.options(gpt2).items() if key not in SMALL}
    whole = line(table("CLLM4Rec", result_dir="elsewhere", checkpoint_dir="other", **trained), "CLLM4Rec")
    with monkeypatch.context() as patch:
        stopping.stop_at(patch, "_step", 7)
        with pytest.raises(KeyboardInterrupt):
            table("CLLM4Rec", "EASE", **trained)
    found = table("CLLM4Rec", "EASE", **trained)
    assert "going on in saved/shop/CLLM4Rec-2020-" in caplog.text
    assert line(found, "CLLM4Rec").cells["ndcg@3"].mean == whole.cells["ndcg@3"].mean


def test_the_files_say_what_the_table_says(ran: list[tuple[str, int]]) -> None:
    found = table("EASE", "Pop", seeds=2, reference="Pop")
    written = json.loads((RESULTS / "comparison.json").read_text(encoding="utf-8"))
    assert written["head"]["reference"] == found.reference == "Pop"
    assert written["rows"][0]["cells"]["ndcg@3"]["mean"] == line(found, "EASE").cells["ndcg@3"].mean

"""Every lead trains, or is judged with a run's weights, and that once."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import shop

from benchmarks import leads
from benchmarks.changes import SeveralOrders
from benchmarks.leads import LEADS, judge
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure, run
from recbole_cllm4rec.protocol.split import split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with shop.shop_in(tmp_path_factory, "leads") as folder:
        yield folder


@pytest.fixture(scope="module")
def asked(folder, bert):
    """The options of all; the recipe itself has been trained with them."""
    small = {**shop.SMALL, "epochs": 1, "eval_step": 1, "train_batch_size": 4, "metric_decimal_place": 12}
    options = {**small, "backbone": str(bert)}
    run("CLLM4Rec", "shop", overrides=options)
    return options


@pytest.fixture(scope="module")
def figures(asked):
    """The validation of every lead after an epoch."""
    return {name: judge(name, "shop", asked, None) for name in LEADS}


@pytest.mark.parametrize("name", LEADS)
def test_a_lead_is_judged_on_validation(figures, name):
    assert 0 <= figures[name]["score"] <= 1
    assert figures[name]["valid"]["ndcg@3"] == figures[name]["score"]
    assert figures[name]["change"] == LEADS[name].change


def test_a_training_leaves_nothing_that_a_run_of_the_recipe_would_go_on_from(figures):
    assert figures["moved-user"]["config_hash"] == figures["orders"]["config_hash"]
    assert len(list(Path("saved/shop").glob("*/*"))) == 1


def test_what_changes_the_prediction_alone_is_judged_with_the_weights_of_the_run(asked, monkeypatch):
    monkeypatch.setattr(leads, "fit", lambda *_: pytest.fail("it is trained again"))
    entry, config = configure("CLLM4Rec", "shop", overrides=asked)
    found = leads.at_prediction(entry, config)
    assert found["valid"] == pytest.approx(found["without"])  # as nothing is changed
    assert judge("orders", "shop", asked, None)["without"] == found["without"]


def test_what_changes_the_prediction_alone_is_judged_on_the_split_of_the_run(asked):
    entry, config = configure("CLLM4Rec", "shop", overrides=asked)
    path = Path("results/shop/CLLM4Rec-2020.json")
    whole = path.read_text()
    result = json.loads(whole)
    path.write_text(json.dumps({**result, "split": {**result["split"], "train": result["split"]["test"]}}))
    try:
        with pytest.raises(UserError, match=r"CLLM4Rec-2020\.json was trained on \(its split is another\)"):
            leads.at_prediction(entry, config)
    finally:
        path.write_text(whole)


def test_what_changes_the_prediction_alone_needs_the_weights_of_the_run(asked, capsys):
    with pytest.raises(UserError, match="no run of the recipe is finished: train it first, python run_"):
        judge("orders", "shop", {**asked, "seed": 7}, None)
    with pytest.raises(SystemExit):
        leads.main(["--dataset=shop", "--only=orders", "--seed=7"])
    assert "--model=CLLM4Rec --dataset=shop --seed=7" in capsys.readouterr().err


def test_a_history_has_one_order_where_its_latest_items_count_most(asked):
    entry, config = configure("CLLM4Rec", "shop", overrides={**asked, "recency": 0.5, "eval_args.order": "TO"})
    parts = split(config, entry.dataset(config))
    with pytest.raises(UserError, match=r"orders: the latest items count most \(recency 0\.5\)"):
        SeveralOrders(config, parts.train._dataset)


def test_what_is_there_is_not_trained_again(folder, figures, monkeypatch, capsys):
    out = Path("leads.json")
    out.write_text(json.dumps({"pooled": figures["pooled"]}))
    monkeypatch.setattr(
        leads, "configure", lambda *_, **__: (None, SimpleNamespace(digest=lambda: figures["pooled"]["config_hash"]))
    )
    monkeypatch.setattr(leads, "fit", lambda *_: pytest.fail("it is trained again"))
    leads.main(["--dataset=shop", "--only=pooled", f"--out={out}"])
    assert json.loads(out.read_text()) == {"pooled": figures["pooled"]}
    assert f"{figures['pooled']['score']:.4f}" in capsys.readouterr().out


def test_a_lead_that_nobody_has(capsys):
    with pytest.raises(SystemExit):
        leads.main(["--only=pooled,attentoin"])
    assert "no lead is called 'attentoin'; the leads: pooled, " in capsys.readouterr().err


def test_a_file_of_leads_that_is_damaged(tmp_path, capsys):
    out = tmp_path / "leads.json"
    out.write_text("{")
    with pytest.raises(SystemExit):
        leads.main(["--only=pooled", f"--out={out}"])
    assert f"{out} is no JSON: " in capsys.readouterr().err

"""Which backbone weights belong to, by hand."""

from types import SimpleNamespace

import pytest

from recbole_cllm4rec.checkpoint.pinned import check_facts, check_same, pinned
from recbole_cllm4rec.errors import UserError

BACKBONE = {"name": "minilm", "precision": "bfloat16", "sha256": "a" * 64, "trained": False}


def test_a_model_gets_the_precision_of_then_and_makes_no_tokens() -> None:
    config = SimpleNamespace(final_config_dict={"precision": "auto", "token_init": "text", "seed": 1})
    now = pinned(config, BACKBONE)
    assert now.final_config_dict == {
        "precision": "bfloat16",
        "token_init": "text",
        "seed": 1,
        "brought_back": True,
    }
    assert config.final_config_dict["precision"] == "auto"
    assert pinned(config, None) is config


@pytest.mark.parametrize("sha256", ["b" * 64, None])
def test_another_frozen_backbone_is_refused(sha256: str | None) -> None:
    with pytest.raises(UserError, match=r"^it has been trained over another backbone: minilm .*, not aaaaaaaaaaaa…; "):
        check_same("it", BACKBONE, sha256, "go")
    check_same("it", {**BACKBONE, "trained": True}, sha256, "go")  # its weights are among those of the run
    check_same("it", BACKBONE, BACKBONE["sha256"], "go")
    check_same("it", None, sha256, "go")


@pytest.mark.parametrize("wrong", [5, {**BACKBONE, "trained": "no"}, {"precision": "float32"}])
def test_facts_that_no_run_wrote_are_refused(wrong: object) -> None:
    with pytest.raises(UserError, match=r"^it: backbone"):
        check_facts("it: backbone", wrong)
    check_facts("it: backbone", BACKBONE)
    check_facts("it: backbone", None)

"""Which options a row has."""

from shop import SMALL

from recbole_cllm4rec.comparison.plan import heard


def test_options_go_to_the_models_that_have_them() -> None:
    asked = {**SMALL, "reg_weight": 3, "eval_args.order": "RO"}
    assert heard("EASE", "shop", (), asked) == asked
    assert heard("Pop", "shop", (), asked) == {**SMALL, "eval_args.order": "RO"}
    asked = {"learner": "sparse_adam", "epochs": 3}
    assert heard("BPR", "shop", (), asked) == asked  # which it cannot follow

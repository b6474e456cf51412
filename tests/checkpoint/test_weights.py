"""Weights on disk: only what is trained, whole or not at all."""

import pytest
import torch
import toy
from safetensors.torch import load_file, save_file

from recbole_cllm4rec.checkpoint import weights
from recbole_cllm4rec.checkpoint.weights import load_weights, save_weights
from recbole_cllm4rec.errors import UserError


class Half(torch.nn.Module):
    """A trained and a frozen matrix."""

    def __init__(self, value: float):
        super().__init__()
        self.trained = torch.nn.Parameter(torch.full((2, 3), value))
        self.frozen = torch.nn.Parameter(torch.full((3, 2), value), requires_grad=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved" / "model.safetensors"


def test_only_what_is_trained_is_written_and_read(path):
    save_weights(path, Half(1.0))
    assert {name: tensor.tolist() for name, tensor in load_file(path).items()} == {"trained": [[1.0] * 3] * 2}
    model = Half(2.0)
    load_weights(path, model)
    assert (model.trained == 1.0).all()
    assert (model.frozen == 2.0).all()


def test_nothing_but_the_file_is_left(path):
    save_weights(path, Half(1.0))
    save_weights(path, Half(2.0))  # over the first
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]
    assert (load_file(path)["trained"] == 2.0).all()


def test_an_interrupted_write_leaves_the_file_of_before(path, monkeypatch):
    def interrupted(tensors, target):
        save_file(tensors, target)
        target.write_bytes(target.read_bytes()[:-8])
        raise OSError("no space left on device")

    save_weights(path, Half(1.0))
    monkeypatch.setattr(weights, "save_file", interrupted)
    with pytest.raises(UserError, match=r"model.safetensors: the best weights could not be saved \(no space left"):
        save_weights(path, Half(2.0))
    model = Half(3.0)
    load_weights(path, model)
    assert (model.trained == 1.0).all()
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_a_file_that_lacks_a_parameter_is_refused(path):
    path.parent.mkdir()
    save_file({"other": torch.zeros(2, 3)}, path)
    with pytest.raises(KeyError, match="trained"):
        load_weights(path, Half(1.0))


TRANSFORM = [f"backbone.transform.{k}.{kind}" for k in (0, 2) for kind in ("bias", "weight")]


@pytest.mark.parametrize(
    ("name", "head"),
    [("gpt2", []), ("llama", ["backbone.head.weight"]), ("bert", ["backbone.bias", *TRANSFORM])],
)
def test_a_model_is_its_tables_and_its_learnt_head(path, request, name, head):
    folder = request.getfixturevalue(name)
    model, other = (toy.build(toy.options(folder, seed=seed)) for seed in (1, 2))
    for parameter in other.parameters():
        parameter.data += parameter.requires_grad  # ones, where it is trained
    save_weights(path, model)
    tables = [f"{view}.{kind}" for view in ("collaborative", "content") for kind in ("users", "items")]
    assert sorted(load_file(path)) == sorted([*tables, *head])
    load_weights(path, other)
    for (parameter, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), parameter

"""A shop of twelve users and nine items as a dataset on disk, for whole runs of any model."""

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
from atomic_files import atomic

SMALL = {"topk": [3], "metrics": ["NDCG"], "valid_metric": "NDCG@3", "show_progress": False, "gpu_id": ""}
"""Options of a run on it: a cut-off that few items allow, and no bar."""


def build_shop(folder: Path) -> None:
    """Write ``dataset/shop`` into ``folder``."""
    home = folder / "dataset" / "shop"
    home.mkdir(parents=True)
    pairs = dict.fromkeys((f"u{u}", f"i{(u + k * k) % 13 % 9}") for u in range(12) for k in range(12))
    rows = [(user, item, str(time)) for time, (user, item) in enumerate(pairs)]
    titles = [f"i{i} {colour}" for i, colour in enumerate(["red", "blue", "green"] * 3)]
    columns = "load_col: {inter: [user_id, item_id, timestamp]}\ntext_fields: {item: [title]}\n"
    (home / "shop.inter").write_text(atomic("user_id:token item_id:token timestamp:float", *rows))
    (home / "shop.item").write_text(atomic("item_id:token title:token_seq", *titles))
    (home / "shop.yaml").write_text(columns)


@contextmanager
def shop_in(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A new folder with the shop, where the process works meanwhile: for fixtures of more than one test."""
    folder = tmp_path_factory.mktemp(name)
    build_shop(folder)
    with chdir(folder):
        yield folder

"""The README keeps to what is there."""

import re
from pathlib import Path

from recbole_cllm4rec.config_layers import read_yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_variants_it_names_exist() -> None:
    variants = read_yaml(ROOT / "properties/model/CLLM4Rec.yaml")["variants"]
    (named,) = re.findall(r"the `variant` \((.*?)\)", README, re.DOTALL)
    assert re.findall(r"`([\w.-]+)`", named) == list(variants)


def test_the_files_it_names_exist() -> None:
    named = re.findall(r"`((?:properties|recbole_cllm4rec)/[\w./-]+\.(?:yaml|py))`", README)
    placeholders = ("MODEL", "DATASET")
    paths = [path for path in named if not any(word in path for word in placeholders)]
    assert len(paths) >= 3
    assert [path for path in paths if not (ROOT / path).is_file()] == []

"""Public raw files by name: where they are, and the command that makes a dataset of them."""

import shlex
from typing import NamedTuple


class Remote(NamedTuple):
    """A file to fetch; ``sha256`` is None where the publisher's bytes have not been seen."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]


_2014 = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_LAB = "https://mcauleylab.ucsd.edu/public_datasets/data"
_URLS = {  # reviews, metadata; the pages of the releases name them
    "2014": (f"{_2014}/reviews_{{}}_5.json.gz", f"{_2014}/meta_{{}}.json.gz"),
    "2018": (f"{_LAB}/amazon_v2/categoryFilesSmall/{{}}_5.json.gz", f"{_LAB}/amazon_v2/metaFiles2/meta_{{}}.json.gz"),
    "2023": (
        f"{_LAB}/amazon_2023/raw/review_categories/{{}}.jsonl.gz",
        f"{_LAB}/amazon_2023/raw/meta_categories/meta_{{}}.jsonl.gz",
    ),
}
_CATEGORIES = {  # the first three are the CLLM4Rec paper's
    "amazon-beauty": ("2014", "Beauty"),
    "amazon-toys": ("2014", "Toys_and_Games"),
    "amazon-sports": ("2014", "Sports_and_Outdoors"),
    "amazon-books": ("2014", "Books"),
    "amazon-electronics": ("2014", "Electronics"),
    "amazon-movies": ("2014", "Movies_and_TV"),
    "amazon-video-games": ("2014", "Video_Games"),
    "amazon-all-beauty-2018": ("2018", "All_Beauty"),
    "amazon-video-games-2018": ("2018", "Video_Games"),
    "amazon-toys-2018": ("2018", "Toys_and_Games"),
    "amazon-sports-2018": ("2018", "Sports_and_Outdoors"),
    "amazon-all-beauty-2023": ("2023", "All_Beauty"),
    "amazon-video-games-2023": ("2023", "Video_Games"),
    "amazon-toys-2023": ("2023", "Toys_and_Games"),
    "amazon-sports-2023": ("2023", "Sports_and_Outdoors"),
    "amazon-home-2023": ("2023", "Home_and_Kitchen"),
}
_SHA256 = {
    f"{_LAB}/amazon_v2/categoryFilesSmall/All_Beauty_5.json.gz": (
        "8e49737fefaec9290187c69bf92889452df8be0ab5e36c9476520d6639683279"
    ),
}
AMAZON = {
    name: tuple(Remote(url.format(category), _SHA256.get(url.format(category))) for url in _URLS[release])
    for name, (release, category) in _CATEGORIES.items()
}
"""Reviews and metadata by the name of the dataset."""


def command(dataset: str, out: str) -> str | None:
    """What makes a dataset of this name from public files, if its name is known."""
    if dataset not in AMAZON:
        return None
    return shlex.join(["python", "-m", "dataset_prep", "amazon", "--download", dataset, "--out", out])

"""Fetching from a server of this machine: whole, resumed, damaged, refused, and with nobody there."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from raw_files import CORE, ITEMS, everyone

from dataset_prep import registry
from dataset_prep.__main__ import main
from dataset_prep.download import fetch
from dataset_prep.registry import Remote
from recbole_cllm4rec.errors import UserError

CONTENT = bytes(range(256)) * 1000


class Server(ThreadingHTTPServer):
    """Serves ``files``, in parts if asked and ``ranges`` says so; the first answer breaks off after ``limit`` bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/data.gz": CONTENT}
        self.ranges, self.limit = True, None
        self.asked: list[str | None] = []

    def remote(self, name: str = "data.gz", content: bytes | None = CONTENT) -> Remote:
        digest = hashlib.sha256(content).hexdigest() if content is not None else None
        return Remote(f"http://127.0.0.1:{self.server_port}/{name}", digest)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if self.path not in server.files:
            self.send_error(404)
            return
        body = server.files[self.path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + server.limit] if server.limit else body[start:])
        server.limit = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch(server.remote(), tmp_path / "raw")
    assert path == tmp_path / "raw" / "data.gz"
    assert path.read_bytes() == CONTENT
    assert fetch(server.remote(), tmp_path / "raw") == path
    assert server.asked == [None]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_fetch_goes_on(server, tmp_path, ranges):
    server.limit, server.ranges = 100_000, ranges
    with pytest.raises(
        UserError, match=r"cannot be fetched \(.*\): 100,000 bytes are kept in .*data\.gz\.part; repeat the command"
    ):
        fetch(server.remote(), tmp_path)
    assert not (tmp_path / "data.gz").exists()
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_part_that_is_whole_already(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT


def test_a_part_of_a_longer_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT + b"more")
    assert fetch(server.remote(), tmp_path).read_bytes() == CONTENT


def test_another_content(server, tmp_path):
    remote = server.remote(content=b"as it was")
    with pytest.raises(UserError, match=r"has sha256 [0-9a-f]{64}, not [0-9a-f]{64} as it had"):
        fetch(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_such_file(server, tmp_path):
    with pytest.raises(
        UserError, match=r"/gone\.gz answers 404 \(Not Found\): put gone\.gz into .* by hand and repeat"
    ):
        fetch(server.remote("gone.gz"), tmp_path)


def convert(*words: str) -> int:
    return main(["amazon", "--download", "amazon-beauty", *CORE, "--out", "dataset/amazon-beauty", *words])


def test_a_dataset_by_its_name(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    raw = {"/reviews.json.gz": everyone(), "/meta.json.gz": [{"asin": item, "title": item} for item in ITEMS]}
    server.files = {name: gzip.compress("\n".join(map(json.dumps, told)).encode()) for name, told in raw.items()}
    remotes = tuple(server.remote(name[1:], content) for name, content in server.files.items())
    monkeypatch.setitem(registry.AMAZON, "amazon-beauty", remotes)
    assert convert() == 0
    assert {path.name for path in Path("dataset/raw/amazon-beauty").iterdir()} == {"reviews.json.gz", "meta.json.gz"}
    assert "9 interactions" in capsys.readouterr().out
    command = (
        "python -m dataset_prep amazon --download amazon-beauty --min-user 3 --min-item 3 --out dataset/amazon-beauty"
    )
    assert command in Path("dataset/amazon-beauty/amazon-beauty.card.md").read_text()


def test_offline(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nobody = Remote("http://127.0.0.1:9/reviews.json.gz")  # the port of "discard", which nobody serves
    monkeypatch.setitem(registry.AMAZON, "amazon-beauty", (nobody, nobody))
    assert convert() == 2
    assert capsys.readouterr().err == (
        "dataset_prep: http://127.0.0.1:9/reviews.json.gz cannot be fetched ([Errno 111] Connection refused): repeat "
        "the command once there is a network, or put reviews.json.gz into dataset/raw/amazon-beauty by hand\n"
    )


def test_an_unknown_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["amazon", "--download", "amazon-beuty", "--out", "dataset/a"]) == 2
    err = capsys.readouterr().err
    assert err.endswith("; did you mean 'amazon-beauty'?\n")
    assert err.count("\n") == 1


def test_the_registry():
    assert registry.AMAZON["amazon-toys"][0].name == "reviews_Toys_and_Games_5.json.gz"
    assert all(len({remote.name for remote in remotes}) == 2 for remotes in registry.AMAZON.values())
    assert registry.command("amazon-toys", "data/amazon-toys") == (
        "python -m dataset_prep amazon --download amazon-toys --out data/amazon-toys"
    )
    assert registry.command("ml-1m", "dataset/ml-1m") is None

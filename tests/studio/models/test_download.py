"""Fetching from a hub that runs on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from studio.errors import Cancelled, FileError
from studio.models.download import fetch, t5_vocabulary

DATA = b"the vocabulary" * 100


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        found = self.path.split("?")[0] == "/google/t5-v1_1-xxl/resolve/main/spiece.model"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("ETag", f'"{hashlib.sha1(DATA).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(DATA) if found else 0))
        self.end_headers()
        if body and found:
            self.wfile.write(DATA)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def never() -> None:
    pass


def test_a_file_is_fetched_though_the_application_stays_offline(hub: None, tmp_path: Path) -> None:
    target = tmp_path / "models" / "t5" / "spiece.model"
    assert fetch("google/t5-v1_1-xxl", "spiece.model", target, never) == target
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]


def test_the_vocabulary_of_t5_is_put_where_it_is_found(hub: None, tmp_path: Path) -> None:
    from studio.diffusion.text.tokenizer_t5 import find

    place = t5_vocabulary(never)
    assert place.read_bytes() == DATA
    assert find(tmp_path / "t5xxl_fp16.safetensors") == place


def test_what_is_not_there_is_told_in_a_sentence(hub: None, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"other\.model of google/t5-v1_1-xxl could not be fetched: .+"):
        fetch("google/t5-v1_1-xxl", "other.model", tmp_path / "other.model", never)
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_the_fetching_and_leaves_nothing(hub: None, tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch("google/t5-v1_1-xxl", "spiece.model", tmp_path / "spiece.model", stop)
    assert list(tmp_path.iterdir()) == []

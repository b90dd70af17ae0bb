from __future__ import annotations

from pathlib import Path

import pytest

from studio.errors import NodeError
from studio.models import prompt_files
from studio.paths import HOME_VARIABLE
from studio.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_embeddings_are_found_by_name_in_every_folder(home: Path, tmp_path: Path) -> None:
    mine = put(home / "data/models/embeddings/sub/Mine.safetensors")
    other = tmp_path / "tool"
    put(other / "models/checkpoints/x.safetensors")
    theirs = put(other / "models/embeddings/theirs.pt")
    put(other / "models/embeddings/readme.txt")
    Settings().put("model_folders", [str(other), 3, ""])
    known = prompt_files.embeddings()
    assert known == {"sub/Mine": mine, "theirs": theirs}
    for name in ("sub/Mine", "sub\\mine", "Mine", "mine.safetensors", "MINE"):
        assert prompt_files.embedding(name, known) == mine
    assert prompt_files.embedding("theirs.pt", known) == theirs
    assert prompt_files.embedding("../theirs", known) is None


def test_of_two_files_of_one_name_the_safetensors_holds(home: Path) -> None:
    put(home / "data/models/embeddings/a.bin")
    wanted = put(home / "data/models/embeddings/a.safetensors")
    assert prompt_files.embeddings() == {"a": wanted}


def test_wildcards_are_lines_without_comments(home: Path) -> None:
    put(home / "data/wildcards/animals/pets.txt", "\ufeffcat\n# no\n\n  dog \n")
    put(home / "data/wildcards/animals/wild.txt", "fox\n")
    assert prompt_files.lines("animals/pets") == ["cat", "dog"]
    assert prompt_files.lines("animals/*") == ["cat", "dog", "fox"]
    assert prompt_files.lines("ANIMALS/Wild") == ["fox"]


def test_a_missing_or_empty_wildcard_is_told_in_a_sentence(home: Path) -> None:
    put(home / "data/wildcards/empty.txt", "# nothing\n")
    with pytest.raises(NodeError, match="There is no wildcard file for “__nowhere__”"):
        prompt_files.lines("nowhere")
    with pytest.raises(NodeError, match="nothing to choose from"):
        prompt_files.lines("empty")


def test_files_that_files_name_are_named_too(home: Path) -> None:
    first = put(home / "data/wildcards/first.txt", "a __second__\n__first__\n")
    second = put(home / "data/wildcards/second.txt", "b\n")
    put(home / "data/wildcards/third.txt", "c\n")
    assert prompt_files.wildcard_files("{x|__first__} __gone__") == [str(first), str(second)]
    assert prompt_files.wildcard_files("none") == []

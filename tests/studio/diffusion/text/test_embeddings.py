from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.diffusion.text.embeddings import Embeddings, vectors
from studio.errors import FileError, NodeError

ROWS = torch.arange(6.0).reshape(2, 3)


def nothing() -> None: ...


def saved(tmp_path: Path, **tensors: torch.Tensor) -> Path:
    save_file(
        {name.replace("STAR", ".*"): tensor for name, tensor in tensors.items()}, tmp_path / "it.safetensors"
    )
    return tmp_path / "it.safetensors"


@pytest.mark.parametrize("name", ["emb_params", "string_to_paramSTAR", "<mine>", "clip_l"])
def test_every_dialect_is_read(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, **{name: ROWS.half()})
    assert torch.equal(vectors(path, "l", 3, nothing), ROWS)


def test_one_vector_may_stand_alone(tmp_path: Path) -> None:
    assert torch.equal(vectors(saved(tmp_path, **{"<mine>": ROWS[0]}), "h", 3, nothing), ROWS[:1])


def test_each_network_takes_its_own(tmp_path: Path) -> None:
    path = saved(tmp_path, clip_g=torch.ones(1, 4), clip_l=ROWS, extra=torch.ones(5, 3))
    assert torch.equal(vectors(path, "l", 3, nothing), ROWS)
    assert torch.equal(vectors(path, "g", 4, nothing), torch.ones(1, 4))
    assert vectors(path, "t5", 8, nothing).shape == (0, 8)


def test_an_embedding_of_another_model_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path, emb_params=ROWS)
    with pytest.raises(NodeError, match=r"it\.safetensors is of another text encoder: 3 wide, not 4\."):
        vectors(path, "g", 4, nothing)
    both = saved(tmp_path, clip_g=torch.ones(1, 3))
    with pytest.raises(NodeError, match="of another text encoder"):
        vectors(both, "l", 3, nothing)


def test_a_truncated_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path, emb_params=ROWS)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FileError, match="is cut short"):
        vectors(path, "l", 3, nothing)


@pytest.mark.parametrize(
    "rows",
    [{"*": ROWS}, {"*": torch.nn.Parameter(ROWS)}, torch.nn.ParameterDict({"*": torch.nn.Parameter(ROWS)})],
    ids=["tensor", "parameter", "dictionary of parameters"],
)
def test_a_pickled_embedding_is_converted(
    rows: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_STUDIO_HOME", str(tmp_path / "home"))
    path = tmp_path / "it.pt"
    torch.save({"string_to_token": {"*": 265}, "string_to_param": rows, "name": "it", "step": 3}, path)
    assert torch.equal(vectors(path, "l", 3, nothing), ROWS)


def test_ids_are_below_zero_and_stay_with_their_embedding(tmp_path: Path) -> None:
    path = saved(tmp_path, emb_params=ROWS)
    table = Embeddings("l", 3, 75, {"it": path}, nothing)
    assert list(table.find("it")) == list(table.find("IT.safetensors")) == [-1, -2]
    assert torch.equal(torch.stack([table.vectors[-1], table.vectors[-2]]), ROWS)
    with pytest.raises(NodeError, match="There is no embedding “other”"):
        table.find("other")
    with pytest.raises(NodeError, match="has 2 vectors, a chunk takes 1"):
        Embeddings("l", 3, 1, {"it": path}, nothing).find("it")

"""T5's encoder from each kind of file, beside transformers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import save_file

from studio.diffusion.device import Place
from studio.diffusion.files.stored import Stored
from studio.diffusion.text import t5
from studio.errors import Cancelled, NodeError

SETTINGS: dict[str, Any] = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "feed_forward_proj": "gated-gelu",
}
IDS = [[5, 7, 9, 1, 0, 0], [3, 1, 0, 0, 0, 0]]


WORDS = Path("spiece.model")
CPU = Place("cpu", "float32", "cpu", "")


class Loader:
    def __init__(self, place: Place = CPU) -> None:
        self.place = place

    def check(self) -> None:
        pass

    def get(self, recipe: Any) -> Any:
        raise AssertionError(recipe)


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers.models.t5 import T5Config, T5EncoderModel

    torch.manual_seed(0)
    return T5EncoderModel(T5Config(**SETTINGS)).eval()


def expected(theirs: Any) -> torch.Tensor:
    with torch.no_grad():
        return theirs(torch.tensor(IDS)).last_hidden_state


def written(theirs: Any, path: Path, prefix: str = "", table: str = "shared.weight") -> Path:
    weights = theirs.state_dict()
    weights.pop("encoder.embed_tokens.weight")
    weights[table] = weights.pop("shared.weight")
    save_file({prefix + name: tensor.clone() for name, tensor in weights.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "text_encoders.t5xxl.transformer."])
@pytest.mark.parametrize("table", ["shared.weight", "encoder.embed_tokens.weight"])
def test_a_single_file_gives_what_transformers_gives(
    theirs: Any, tmp_path: Path, prefix: str, table: str
) -> None:
    path = written(theirs, tmp_path / "t5xxl.safetensors", prefix, table)
    network = t5.build(Stored([path], prefix, t5.pieces), None, WORDS, Loader())
    with torch.inference_mode():
        found = network.encode(IDS, embeddings={})
    assert torch.equal(found, expected(theirs))
    assert network.width == 32
    assert network.nbytes == sum(tensor.nbytes for tensor in theirs.encoder.state_dict().values())


def test_a_folder_in_shards_gives_what_transformers_gives(theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 1
    network = t5.build(Stored(files, "", t5.pieces), None, WORDS, Loader())
    with torch.inference_mode():
        assert torch.equal(network.encode(IDS, embeddings={}), expected(theirs))


NAMES = {
    "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b",
    "layer.0.SelfAttention.": "attn_",
    "layer.0.layer_norm": "attn_norm",
    "layer.1.DenseReluDense.wi_0": "ffn_gate",
    "layer.1.DenseReluDense.wi_1": "ffn_up",
    "layer.1.DenseReluDense.wo": "ffn_down",
    "layer.1.layer_norm": "ffn_norm",
    "encoder.block.": "enc.blk.",
    "encoder.final_layer_norm": "enc.output_norm",
    "shared": "token_embd",
}


def test_a_packed_file_gives_nearly_the_same(theirs: Any, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "t5.gguf", "t5encoder")
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, tensor in theirs.state_dict().items():
        if name == "encoder.embed_tokens.weight":
            continue
        for old, new in NAMES.items():
            name = name.replace(old, new)
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    network = t5.build(Stored([tmp_path / "t5.gguf"], "", t5.pieces), None, WORDS, Loader())
    with torch.inference_mode():
        found = network.encode(IDS, embeddings={})
    assert (found - expected(theirs)).abs().max() < 0.05 * expected(theirs).std()
    assert not torch.equal(found, expected(theirs))
    assert network.nbytes < sum(tensor.nbytes for tensor in theirs.encoder.state_dict().values()) / 2


def test_half_precision_keeps_the_last_projection_whole(theirs: Any, tmp_path: Path) -> None:
    path = written(theirs, tmp_path / "t5.safetensors")
    network = t5.build(Stored([path], "", t5.pieces), None, WORDS, Loader(Place("cpu", "float16", "cpu", "")))
    module: Any = network.modules["t5"]
    assert module.encoder.block[0].layer[1].DenseReluDense.wo.weight.dtype == torch.float32
    assert module.encoder.block[0].layer[1].DenseReluDense.wi_0.weight.dtype == torch.float16


def test_words_of_no_vocabulary_take_their_places(theirs: Any, tmp_path: Path) -> None:
    path = written(theirs, tmp_path / "t5.safetensors")
    network = t5.build(Stored([path], "", t5.pieces), None, WORDS, Loader())
    vector = theirs.shared.weight[7].detach()
    with torch.inference_mode():
        found = network.encode([[5, -3, 9, 1, 0, 0]], embeddings={-3: vector})
    assert torch.allclose(found, expected(theirs)[:1], atol=1e-6)


def test_cancel_acts_between_layers(theirs: Any, tmp_path: Path) -> None:
    network = t5.build(
        Stored([written(theirs, tmp_path / "t5.safetensors")], "", t5.pieces), None, WORDS, Loader()
    )

    def stop() -> None:
        raise Cancelled

    network.check = stop
    with pytest.raises(Cancelled):
        network.encode(IDS, embeddings={})


def test_a_file_that_lacks_a_layer_is_told(theirs: Any, tmp_path: Path) -> None:
    weights = {k: v.clone() for k, v in theirs.state_dict().items() if "block.0.layer.1.layer_norm" not in k}
    weights.pop("encoder.embed_tokens.weight")
    save_file(weights, tmp_path / "t5.safetensors")
    with pytest.raises(NodeError, match="missing"):
        t5.build(Stored([tmp_path / "t5.safetensors"], "", t5.pieces), None, WORDS, Loader())

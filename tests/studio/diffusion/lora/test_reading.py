from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from studio.diffusion.lora.reading import read, split
from studio.errors import Cancelled, FileError
from tests.studio.diffusion.lora import tiny


@pytest.mark.parametrize(
    ("name", "layer", "part"),
    [
        ("lora_unet_x.lora_down.weight", "lora_unet_x", "down"),
        ("unet.x.to_q.lora.up.weight", "unet.x.to_q", "up"),
        ("unet.attn1.processor.to_out_lora.down.weight", "unet.attn1.to_out.0", "down"),
        ("text_encoder.self_attn.to_v_lora.up.weight", "text_encoder.self_attn.v_proj", "up"),
        ("te.self_attn.q_proj.lora_linear_layer.down.weight", "te.self_attn.q_proj", "down"),
        ("base_model.model.x.lora_A.default.weight", "base_model.model.x", "down"),
        ("x.lora_B.bias", "x", "bias"),
        ("x.lora_magnitude_vector.default.weight", "x", "magnitude_out"),
        ("x.dora_scale", "x", "magnitude"),
        ("x.hada_t2", "x", "hada_t2"),
        ("x.lokr_w1_b", "x", "lokr_w1_b"),
        ("x.oft_R.weight", "x", "oft_r"),
        ("x.a2.weight", "x", "a2"),
        ("x.w_norm", "x", "diff"),
        ("x.diff_b", "x", "bias"),
    ],
)
def test_names_end_in_what_a_tensor_is(name: str, layer: str, part: str) -> None:
    assert split(name) == (layer, part)


@pytest.mark.parametrize("name", ["x.weight", "emb_params", ".alpha", "lora"])
def test_other_names_are_of_no_layer(name: str) -> None:
    assert split(name) is None


def test_a_file_is_read_by_layer(tmp_path: Path) -> None:
    tensors = {**tiny.lora([("unet.x", 4, 3)]), "clip.weight": torch.zeros(1)}
    adapters = read(tiny.saved(tmp_path / "some.safetensors", tensors), lambda: None)
    assert set(adapters.layers) == {"unet.x"}
    assert set(adapters.layers["unet.x"]) == {"down", "up", "alpha"}
    assert adapters.unknown == ("clip.weight",)
    assert torch.equal(adapters.layers["unet.x"]["up"], tensors["unet.x.lora_up.weight"])


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    tensors = {name: tensor.half() for name, tensor in tiny.lora([("x", 4, 3)]).items()}
    layers = read(tiny.saved(tmp_path / "half.safetensors", tensors), lambda: None).layers
    assert {tensor.dtype for tensor in layers["x"].values()} == {torch.float32}


@pytest.mark.parametrize(
    ("facts", "alpha"),
    [
        ({"unet.r": 3, "unet.lora_alpha": 6}, 6.0),
        ({"unet.r": 3, "unet.lora_alpha": 6, "unet.alpha_pattern": {"to_q": 1}}, 1.0),
        ({"unet.r": 3, "unet.lora_alpha": 6, "unet.use_rslora": True}, 6 * 3**0.5),
        ({"unet.r": 3, "unet.lora_alpha": "much"}, None),
        ({"transformer.r": 3, "transformer.lora_alpha": 6}, None),
        ([], None),
    ],
)
def test_alpha_may_stand_beside_the_tensors(tmp_path: Path, facts: object, alpha: float | None) -> None:
    tensors = tiny.lora([("unet.attn1.to_q", 4, 3)], parts=("lora_A", "lora_B"), alpha=None)
    path = tiny.saved(tmp_path / "it.safetensors", tensors, {"lora_adapter_metadata": json.dumps(facts)})
    [layer] = read(path, lambda: None).layers.values()
    assert (None if alpha is None else pytest.approx(alpha)) == (
        float(layer["alpha"]) if "alpha" in layer else None
    )


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    def cancel() -> None:
        raise Cancelled

    path = tiny.saved(tmp_path / "large.safetensors", {"x.diff": torch.zeros(17 * 2**20)})
    with pytest.raises(Cancelled):
        read(path, cancel)


def test_a_file_without_adapters_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tiny.saved(tmp_path / "vae.safetensors", {"decoder.weight": torch.zeros(2)})
    with pytest.raises(FileError, match=r"vae\.safetensors holds no LoRA"):
        read(path, lambda: None)


def test_a_truncated_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tiny.saved(tmp_path / "cut.safetensors", tiny.lora([("x", 40, 30)]))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match="cut short"):
        read(path, lambda: None)


def test_a_file_whose_notes_are_no_texts_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    raw = json.dumps({"__metadata__": {"rank": 4}}).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw)
    with pytest.raises(FileError, match=r"odd\.safetensors cannot be read: .+ Download it again"):
        read(path, lambda: None)

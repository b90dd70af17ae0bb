from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from studio.diffusion.lora.patch import LORA
from studio.errors import NodeError
from studio.types import Patch
from tests.studio.diffusion.lora import tiny

QUERY = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"


def test_both_networks_take_their_own_layers_from_one_file(tmp_path: Path) -> None:
    layers = [(QUERY, 16, 16), ("lora_te_text_model_encoder_layers_0_mlp_fc1", 32, 16)]
    path = tiny.saved(tmp_path / "both.safetensors", tiny.lora(layers))
    unet = tiny.changes(path, {"unet": tiny.unet()})
    text = tiny.changes(path, {"clip_l": tiny.clip()})
    assert set(unet) == {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"}
    assert set(text) == {"clip_l.encoder.layers.0.mlp.fc1.weight"}


def test_a_file_for_the_denoiser_alone_leaves_text_encoders_as_they_are(tmp_path: Path) -> None:
    path = tiny.saved(tmp_path / "unet.safetensors", tiny.lora([(QUERY, 16, 16)]))
    assert tiny.changes(path, {"clip_l": tiny.clip()}) == {}


def test_what_fits_nothing_is_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layers = [(QUERY, 16, 16), ("lora_unet_mid_block_nowhere", 4, 4), (QUERY.replace("to_q", "to_k"), 16, 7)]
    path = tiny.saved(tmp_path / "some.safetensors", tiny.lora(layers))
    with caplog.at_level(logging.INFO):
        assert len(tiny.changes(path, {"unet": tiny.unet()})) == 1
    assert "1 weights are changed; 2 of its names fit nothing here" in caplog.text


@pytest.mark.parametrize("columns", [7, 16])
def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path, columns: int) -> None:
    layer = QUERY if columns == 7 else "lora_unet_elsewhere"
    path = tiny.saved(tmp_path / "alien.safetensors", tiny.lora([(layer, 16, columns)]))
    with pytest.raises(NodeError, match=r"Nothing in alien\.safetensors fits this model"):
        tiny.changes(path, {"unet": tiny.unet()})


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = tiny.saved(tmp_path / "lora.safetensors", tiny.lora([(QUERY, 16, 16)]))
    with pytest.raises(NodeError, match="has gone, or is another"):
        LORA.changes(Patch("lora", path=str(path), identity="other"), {"unet": tiny.unet()}, lambda: None)


def test_biases_and_norms_change_too(tmp_path: Path) -> None:
    layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_norm1"
    tensors = {f"{layer}.w_norm": torch.ones(16), f"{layer}.b_norm": torch.full((16,), 2.0)}
    unet = tiny.unet()
    before = tiny.weights({"unet": unet})
    after = tiny.patched(tiny.saved(tmp_path / "norms.safetensors", tensors), {"unet": unet}, 0.5)
    name = "unet.mid_block.attentions.0.transformer_blocks.0.norm1"
    torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] + 0.5)
    torch.testing.assert_close(after[f"{name}.bias"], before[f"{name}.bias"] + 1)


def test_a_wrong_shape_in_a_fused_layer_is_left_out(tmp_path: Path) -> None:
    layers = [("lora_unet_double_blocks_0_img_attn_qkv", 20, 8), ("lora_unet_img_in", 8, 4)]
    path = tiny.saved(tmp_path / "fused.safetensors", tiny.lora(layers))
    found = tiny.changes(path, {"transformer": tiny.flux()})
    assert "transformer.x_embedder.weight" in found
    assert "transformer.transformer_blocks.0.attn.to_v.weight" not in found


def test_packed_weights_are_changed_too(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    from diffusers.quantizers.gguf.utils import GGUFParameter

    kind = gguf.GGMLQuantizationType.Q8_0
    module = torch.nn.Sequential(torch.nn.Linear(32, 8, bias=False))
    packed = torch.from_numpy(gguf.quants.quantize(torch.randn(8, 32).numpy(), kind))
    module[0].weight = GGUFParameter(packed, quant_type=kind)  # pyright: ignore[reportAttributeAccessIssue]
    path = tiny.saved(tmp_path / "it.safetensors", tiny.lora([("transformer.0", 8, 32)]))
    assert set(tiny.changes(path, {"transformer": module})) == {"transformer.0.weight"}

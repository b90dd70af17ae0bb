"""Small random pipelines of Stable Diffusion 3 and Flux."""

from __future__ import annotations

import functools
import io
import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
import torch

from tests.parity.tiny import CROSS, clip, quiet, tokenizer, vae

TEXT_WIDTH = 2 * CROSS + 16
"""Of T5: wider than both CLIPs side by side, as in the real ones."""


def t5(width: int = TEXT_WIDTH) -> Any:
    """A T5 encoder of two layers."""
    from transformers.models.t5 import T5Config, T5EncoderModel

    torch.manual_seed(4)
    settings = T5Config(
        vocab_size=64,
        d_model=width,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(settings).eval()


@functools.cache
def vocabulary() -> bytes:
    """A model of SentencePiece with the numbers of T5."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a fox in a meadow, glossy", "a castle at night", "quick brown dogs"] * 20),
        model_writer=made,
        vocab_size=50,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return made.getvalue()


def t5_tokenizer() -> Any:
    """T5's tokenizer over that."""
    from transformers.models.t5 import T5Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spiece.model").write_bytes(vocabulary())
        return T5Tokenizer.from_pretrained(folder, local_files_only=True, model_max_length=512)


def sd3_transformer(*, large: bool = False, **settings: Any) -> Any:
    """An SD3Transformer2DModel of three blocks."""
    from diffusers import SD3Transformer2DModel

    plain: dict[str, Any] = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 16,
        "num_layers": 3,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": TEXT_WIDTH,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 2 * CROSS,
        "out_channels": 16,
        "pos_embed_max_size": 24,
        "dual_attention_layers": () if large else (0, 1),
        "qk_norm": "rms_norm",
    }
    torch.manual_seed(0)
    return _lively(SD3Transformer2DModel(**(plain | settings)).eval())


def flux_transformer(**settings: Any) -> Any:
    """A FluxTransformer2DModel of two blocks of each kind."""
    from diffusers import FluxTransformer2DModel

    plain: dict[str, Any] = {
        "patch_size": 1,
        "in_channels": 64,
        "out_channels": 64,
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": TEXT_WIDTH,
        "pooled_projection_dim": CROSS,
        "guidance_embeds": True,
        "axes_dims_rope": (4, 14, 14),
    }
    torch.manual_seed(0)
    return _lively(FluxTransformer2DModel(**(plain | settings)).eval())


def stable_diffusion_3(*, with_t5: bool = True, **settings: Any) -> Any:
    """A StableDiffusion3Pipeline; `settings` are those of its transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    return quiet(
        StableDiffusion3Pipeline(
            transformer=sd3_transformer(**settings),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=vae(16, shift_factor=0.06),
            text_encoder=clip(projected=True),
            tokenizer=tokenizer(),
            text_encoder_2=clip(projected=True, seed=3, act="gelu"),
            tokenizer_2=tokenizer(pad="!"),
            text_encoder_3=t5() if with_t5 else None,
            tokenizer_3=t5_tokenizer() if with_t5 else None,
        )
    )


def flux_parts(*, dynamic: bool = True, **settings: Any) -> dict[str, Any]:
    """Components that all pipelines of Flux have; `settings` are those of the transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0 if dynamic else 1.0,
        use_dynamic_shifting=dynamic,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return {
        "transformer": flux_transformer(**settings),
        "scheduler": scheduler,
        "vae": vae(16, shift_factor=0.1),
        "text_encoder": clip(),
        "tokenizer": tokenizer(),
        "text_encoder_2": t5(),
        "tokenizer_2": t5_tokenizer(),
    }


def flux(**settings: Any) -> Any:
    """A FluxPipeline."""
    from diffusers import FluxPipeline

    return quiet(FluxPipeline(**flux_parts(**settings)))


def _lively(network: Any) -> Any:
    """Modulations begin near nothing; make them matter."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" in name and name.endswith("weight") and weight.ndim == 2:
                weight.mul_(4)
    return network

"""Small networks of random weights that read pictures, saved as transformers saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging


def dpt() -> Any:
    from transformers import DPTConfig, DPTForDepthEstimation

    return DPTForDepthEstimation(
        DPTConfig(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            reassemble_factors=[4, 2, 1, 0.5],
        )
    )


def depth_anything() -> Any:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    return DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            reassemble_hidden_size=32,
            patch_size=14,
        )
    )


def vitpose() -> Any:
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone = VitPoseBackboneConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[64, 48],
        patch_size=[16, 16],
        out_features=["stage2"],
    )
    return VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True)
    )


def segformer() -> Any:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    labels = {index: f"thing {index}" for index in range(150)} | {2: "sky", 4: "tree, palm"}
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            num_encoder_blocks=4,
            depths=[1] * 4,
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=16,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
        )
    )


def upernet() -> Any:
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, out_features=stages)
    return UperNetForSemanticSegmentation(
        UperNetConfig(
            backbone_config=backbone,
            hidden_size=16,
            auxiliary_in_channels=16,
            auxiliary_channels=8,
            num_labels=5,
        )
    )


MADE: dict[str, Callable[[], Any]] = {
    "dpt": dpt,
    "depth_anything": depth_anything,
    "vitpose": vitpose,
    "segformer": segformer,
    "upernet": upernet,
}
SETTINGS: dict[str, str] = {
    "dpt": '{"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.5, 0.5], "resample": 3}',
    "depth_anything": '{"size": {"height": 56, "width": 56}, "keep_aspect_ratio": true,'
    ' "ensure_multiple_of": 14, "resample": 3}',
    "vitpose": '{"size": {"height": 64, "width": 48}}',
    "segformer": '{"size": {"height": 64, "width": 64}}',
    "upernet": '{"size": {"shortest_edge": 64}}',
}


def saved(kind: str, folder: Path) -> Path:
    """Write a network of that kind, the same at each call, and return its folder."""
    logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        MADE[kind]().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(SETTINGS[kind])
    return folder

"""Something for every input of every node: small, seeded, of the starter model where weights are meant."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from studio.context import Context, RunFacts
from studio.declare import NodeFunction
from studio.paths import assets_dir
from studio.spec import InputSpec
from studio.types import ANY, Json, Latent
from tests.laws.everything import registry

SIDE_PX = 64
STARTER = assets_dir() / "starter"
SMALL: dict[str, dict[str, Json]] = {
    "core/k_sampler": {"steps": 2},
    "core/k_sampler_advanced": {"steps": 2},
    "core/attention_maps": {"text": "a fox", "words": "fox", "steps": 1},
    "core/load_diffusion_model": {"path": str(STARTER)},
    "core/load_text_encoders": {"first": str(STARTER)},
    "core/load_vae": {"path": str(STARTER)},
    "core/encode_text": {"text": "a fox"},
    "core/empty_latent": {"width": SIDE_PX, "height": SIDE_PX},
    "core/resize_image": {"width": 24, "height": 40},
}
"""Knobs whose defaults would take long, or do nothing."""


def context(node: str = "it", folder: Path | None = None) -> Context:
    """A run of its own for one call, with the starter model's weights at hand."""
    facts = RunFacts("run", datetime(2026, 1, 2, 3, 4, 5), folder or Path())
    return Context(
        node=node,
        facts=facts,
        cancelled=threading.Event(),
        report=lambda done, total, preview: None,
        saved=lambda path: None,
        weights=_weights(),
        extensions=registry().extensions,
    )


@functools.cache
def _weights() -> object:
    from studio.diffusion.weights import WeightsStore

    return WeightsStore("cpu")


def knobs(name: str) -> dict[str, Json]:
    """Knob values for a call: the defaults, made small, with a picture file where one is wanted."""
    values = {**registry().specs[name].defaults, **SMALL.get(name, {})}
    for knob in registry().specs[name].knobs:
        if knob.kind == "file" and knob.options.get("content") == "image" and not values[knob.name]:
            values[knob.name] = str(_picture_file())
        if knob.kind == "file" and knob.options.get("content") == "model" and name in MODELS:
            values[knob.name] = str(_model_file(name))
    return values


def _upscale_model(path: Path) -> object:
    from tests.studio.upscalers import saved, srvgg

    return saved(path, srvgg(scale=2))


def _annotator(kind: str, path: Path) -> Path:
    from tests.studio.diffusion.pictures.annotators import saved

    return saved(kind, path.parent)


def _control_net(path: Path) -> object:
    from diffusers.models.adapter import T2IAdapter

    from tests.studio.diffusion.controls import saved

    return saved(T2IAdapter(channels=[8, 16], downscale_factor=8), path.parent, path.name)


def _eye(path: Path) -> object:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from tests.studio.diffusion.controls import saved

    settings = CLIPVisionConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=64,
        image_size=28,
        patch_size=14,
        projection_dim=_SEEN,
    )
    return saved(CLIPVisionModelWithProjection(settings), path.parent, path.name)


def _ip_adapter(path: Path) -> object:
    from safetensors.numpy import save_file

    wide = _told_width()
    made = {
        "image_proj.proj.weight": np.full((4 * wide, _SEEN), 0.1, np.float32),
        "image_proj.proj.bias": np.zeros(4 * wide, np.float32),
        "image_proj.norm.weight": np.ones(wide, np.float32),
        "image_proj.norm.bias": np.zeros(wide, np.float32),
        "ip_adapter.1.to_k_ip.weight": np.ones((8, wide), np.float32),
        "ip_adapter.1.to_v_ip.weight": np.ones((8, wide), np.float32),
    }
    return save_file(made, path)


def _redux(path: Path) -> object:
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder

    from tests.studio.diffusion.controls import saved

    return saved(ReduxImageEncoder(redux_dim=64, txt_in_features=_told_width()), path.parent, path.name)


def _told_width() -> int:
    """Of the tokens of the starter model."""
    conditioning: Any = of_type("conditioning")
    return int(conditioning.entries[0].embeddings.shape[-1])


@functools.cache
def _unclip_model() -> object:
    from safetensors.numpy import save_file

    from studio.types import Model, Recipe

    path = Path(tempfile.mkdtemp(prefix="latent-studio-unclip-")) / "model.safetensors"
    ends = ("mean", "std")
    save_file({f"noise_augmentor.data_{end}": np.ones(_SEEN, np.float32) for end in ends}, path)
    return Model(Recipe(str(path), "unclip", "unet", "stable_diffusion_2"))


@functools.cache
def _tiny_vae() -> object:
    from studio.types import Recipe, Vae
    from tests.studio.diffusion import checkpoints

    path = Path(tempfile.mkdtemp(prefix="latent-studio-vae-")) / "tiny.safetensors"
    checkpoints.save(path, ("", checkpoints.tiny_vae().state_dict()))
    return Vae(Recipe(str(path), "tiny", "stable_diffusion", "vae"))


_SEEN = 24
"""Width of what the small image encoder sees."""
SPECIAL: dict[tuple[str, str], Callable[[], object]] = {
    ("core/unclip_conditioning", "model"): _unclip_model,
    ("core/tiny_preview", "vae"): _tiny_vae,
}
"""Node and input → something more than any value of its type."""


def _lora(path: Path) -> object:
    from safetensors.numpy import save_file

    return save_file({"lora_unet_conv_out.diff_b": np.full(4, 0.25, np.float32)}, path)


MODELS: dict[str, Callable[[Path], object]] = {
    "core/load_upscale_model": _upscale_model,
    "core/depth_map": lambda path: _annotator("dpt", path),
    "core/detect_pose": lambda path: _annotator("vitpose", path),
    "core/segment_image": lambda path: _annotator("segformer", path),
    "core/load_controlnet": _control_net,
    "core/load_clip_vision": _eye,
    "core/load_ip_adapter": _ip_adapter,
    "core/load_style_model": _redux,
    "core/load_lora": _lora,
    "core/load_lora_for_model": _lora,
}
"""What writes a model file for the loaders that ship with none."""


@functools.cache
def _model_file(name: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix="latent-studio-model-")) / "model.safetensors"
    made = MODELS[name](path)
    return made if isinstance(made, Path) and made.is_dir() else path


@functools.cache
def _picture_file() -> Path:
    from PIL import Image

    folder = Path(tempfile.mkdtemp(prefix="latent-studio-picture-"))
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    return folder / "picture.png"


def inputs(name: str) -> dict[str, object]:
    """A value for every input, optional ones too."""
    return {
        item.name: SPECIAL[name, item.name]() if (name, item.name) in SPECIAL else given(item)
        for item in registry().specs[name].inputs
    }


def given(item: InputSpec) -> object:
    """A value for one input."""
    value = of_type("image" if item.type == ANY else item.type)
    return [value, value] if item.many else value


@functools.cache
def of_type(wire: str) -> object:
    """A value of a wire type: written down, or taken from the first node that gives one."""
    random = np.random.default_rng(7)
    match wire:
        case "int":
            return 3
        case "float":
            return 0.5
        case "bool":
            return True
        case "text":
            return "a fox"
        case "image":
            return random.random((2, SIDE_PX, SIDE_PX, 3), dtype=np.float32)
        case "mask":
            return (random.random((2, SIDE_PX, SIDE_PX)) < 0.5).astype(np.float32)
        case "latent":
            import torch

            samples = torch.randn(
                2, 4, SIDE_PX // 8, SIDE_PX // 8, generator=torch.Generator().manual_seed(7)
            )
            return Latent(samples, 8)
        case _:
            return _made(wire)


def _made(wire: str) -> object:
    """A value from the first node, built-in ones first, that gives this type."""
    makers = sorted(
        registry().specs.values(), key=lambda spec: (not spec.type.startswith("core/"), spec.type)
    )
    for spec in makers:
        for output in spec.outputs:
            if output.type == wire and not spec.passes and wire not in {item.type for item in spec.inputs}:
                return results(call(spec.type))[output.name]
    raise LookupError(f"No node gives “{wire}”; add an example of it here.")


def call(
    name: str,
    values: Mapping[str, Json] | None = None,
    wired: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> Any:
    """Call a node's function as the executor would, and return what it returns; sinks write to `folder`."""
    function = cast("NodeFunction[..., Any]", registry().nodes[name])
    given_inputs = inputs(name) if wired is None else wired
    before = [context(name, folder)] if function.wants_context else []
    arguments = {**(values if values is not None else knobs(name))}
    if not function.spec.lazy:
        return function(*before, **given_inputs, **arguments)
    asking = cast(
        "Generator[str, object, object]", function(*before, **dict.fromkeys(given_inputs), **arguments)
    )
    try:
        wanted = next(asking)
        while True:
            wanted = asking.send(given_inputs[wanted])
    except StopIteration as stop:
        return stop.value


def results(returned: Any) -> dict[str, Any]:
    """What a call gave, by output name."""
    fields = getattr(returned, "_asdict", None)
    if fields is not None:
        return fields()
    return _Single(returned)


class _Single(dict[str, Any]):
    """The one output of a node, whatever it is called."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> object:
        return self._value

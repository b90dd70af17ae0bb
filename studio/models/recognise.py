"""What a model file is, from its header alone: no weights are read, a few milliseconds for any size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from studio.errors import FileError
from studio.models import control_header, denoisers, folders, lora_header, parts, upscalers
from studio.models.gguf_header import read_gguf
from studio.models.header import read_header
from studio.models.kinds import Denoiser, Kind, Shapes, below, precision

if TYPE_CHECKING:
    from studio.models.header import Header

_BEFORE_DENOISERS = ("model.diffusion_model.", "diffusion_model.", "", "model.", "unet.", "transformer.")
_LORA = re.compile(
    r"\.(lora_down|lora_up|lora_A|lora_B|lora_A\.default|lora\.down|lora\.up|hada_w[12]_[ab]|lokr_w[12](_[ab])?"
    r"|oft_blocks|oft_diag|oft_R|dora_scale|lora_linear_layer\.(up|down))(\.weight)?$"
)
_WIDTHS = {768: "stable_diffusion", 1024: "stable_diffusion_2", 2048: "sdxl", 1280: "sdxl"}
_CONTROL_FAMILIES = {"sd3": "stable_diffusion_3", "flux": "flux"}
# Tensors that go with noise levels other than those of the family.
_OTHER_NOISE = ("edm_mean", "edm_std", "edm_vpred.")
_MEMO = 512
_known: dict[tuple[str, int, int, int], Kind | None] = {}
_lock = Lock()


def kind_at(path: Path) -> Kind | None:
    """Tell what a safetensors or GGUF file or diffusers folder is; None if nothing that is known here.

    Of a file it is remembered while size, time and inode stay. From any thread.

    Raises:
        FileError: The file is missing, cut short or not what its name says.
    """
    if path.is_dir():
        return folders.kind_of_folder(path)
    ending = path.suffix.lower()
    if ending not in (".safetensors", ".sft", ".gguf"):
        return None
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(f"There is no model at {path}.", "Choose another file or folder.") from error
    stamp = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
    with _lock:
        if stamp in _known:
            return _known[stamp]
    found = kind_of(read_gguf(path).header if ending == ".gguf" else read_header(path))
    with _lock:
        if len(_known) >= _MEMO:
            _known.clear()
        _known[stamp] = found
    return found


def stranger(path: Path) -> str:
    """What a file or folder is that is no model known here, as the end of a sentence.

    Raises:
        FileError: The file is missing, cut short or no safetensors file.
    """
    if path.is_dir():
        return "a folder without a model that is known here"
    is_packed = path.suffix.lower() == ".gguf"
    tensors = (read_gguf(path).header if is_packed else read_header(path)).tensors
    for word, name in _STRANGERS:
        if any(word in tensor for tensor in tensors):
            return f"{name}, which is not known here"
    return "no model that is known here" if tensors else "a file without any tensors"


def kind_of(header: Header) -> Kind | None:
    """Tell what a file with this header is; None if nothing that is known here."""
    shapes = {name: place.shape for name, place in header.tensors.items()}
    return next((kind for kind in (ask(shapes, header) for ask in _QUESTIONS) if kind is not None), None)


def _lora(shapes: Shapes, header: Header) -> Kind | None:
    if "lora_controlnet" in shapes or not any(_LORA.search(name) for name in shapes):
        return None
    return Kind("lora", lora_header.recognise(header) or "", "", precision(header.tensors.values()))


def _beside(shapes: Shapes, header: Header) -> Kind | None:
    """Networks that act on a denoiser from beside it."""
    said = precision(header.tensors.values())
    if any(name.startswith("ip_adapter.") for name in shapes):
        told = shapes.get("ip_adapter.1.to_k_ip.weight", ())
        return Kind("ip_adapter", _WIDTHS.get(told[1], "") if len(told) == 2 else "", "", said)
    if "redux_up.weight" in shapes:
        return Kind("style", "flux", "redux", said)
    strange = control_header.unsupported(shapes)
    if strange:
        return Kind("controlnet", "", strange, said)
    if any(name.startswith(_BEFORE_DENOISERS[0]) for name in shapes):
        return None
    plan = control_header.plan_of(shapes)
    if plan is None:
        return None
    family = _CONTROL_FAMILIES.get(plan.kind) or _WIDTHS.get(plan.width, "")
    return Kind("t2i_adapter" if plan.kind == "t2i" else "controlnet", family, plan.kind, said, "diffusers")


def _denoiser(shapes: Shapes, header: Header) -> Kind | None:
    found = _found_denoiser(shapes)
    if found is None:
        return None
    if any(name.startswith(_OTHER_NOISE) for name in shapes):
        return None
    prefix, denoiser = found
    held = {denoiser.part: prefix}
    held |= parts.text_encoders(shapes, denoiser.family, denoiser.variant) | parts.vae(shapes)
    whole = len(held) > 1
    if denoiser.variant == "unclip":
        held |= _unclip(shapes)
    places = [place for name, place in header.tensors.items() if name.startswith(prefix)]
    variant = _told_variant(denoiser, header)
    kind = "checkpoint" if whole else "denoiser"
    return Kind(kind, denoiser.family, variant, precision(places), denoiser.layout, held)


def _found_denoiser(shapes: Shapes) -> tuple[str, Denoiser] | None:
    for prefix in _BEFORE_DENOISERS:
        if any(prefix + mark in shapes for mark in denoisers.MARKS):
            found = denoisers.denoiser(below(shapes, prefix))
            if found is not None:
                return prefix, found
    return None


def _told_variant(denoiser: Denoiser, header: Header) -> str:
    """The variant, with what only the author's own words can tell."""
    said = " ".join(
        header.metadata.get(f"modelspec.{name}", "") for name in ("architecture", "title")
    ).lower()
    if denoiser.family == "flux" and denoiser.variant == "dev" and "kontext" in said:
        return "kontext"
    return denoiser.variant


def _unclip(shapes: Shapes) -> dict[str, str]:
    """The image encoder and the statistics of pictures that come with a model that is told pictures."""
    found = {"clip_vision": "embedder.model.visual.", "noise_augmentor": "noise_augmentor."}
    return {part: start for part, start in found.items() if any(name.startswith(start) for name in shapes)}


def _autoencoder(shapes: Shapes, header: Header) -> Kind | None:
    said = precision(header.tensors.values())
    held = parts.vae(shapes)
    if held:
        channels = shapes[f"{held['vae']}decoder.conv_in.weight"][1]
        return Kind("vae", "", f"{channels} channels", said, parts.vae_layout(shapes, held["vae"]), held)
    tiny = parts.tiny_vae(shapes)
    if tiny is None:
        return None
    half, channels, layout = tiny
    variant = f"{channels} channels" if half == "both" else f"{channels} channels, {half}"
    return Kind("tiny_vae", "", variant, said, layout, {"vae": ""})


def _encoders(shapes: Shapes, header: Header) -> Kind | None:
    said = precision(header.tensors.values())
    texts, pictures = parts.text_encoders(shapes), parts.clip_vision(shapes)
    held = texts | pictures
    if not held:
        return None
    first = next(iter(held))
    layout = parts.clip_layout(shapes, held[first].removesuffix("visual."))
    return Kind("text_encoder" if texts else "clip_vision", "", first if texts else "", said, layout, held)


def _upscaler(shapes: Shapes, header: Header) -> Kind | None:
    plan = upscalers.plan_of(header)
    return plan and Kind("upscaler", "", plan.title, precision(header.tensors.values()))


def _embedding(shapes: Shapes, header: Header) -> Kind | None:
    if not 1 <= len(shapes) <= 4 or any(len(shape) not in (1, 2) for shape in shapes.values()):
        return None
    said = precision(header.tensors.values())
    if "clip_g" in shapes:
        return Kind("embedding", "stable_diffusion_3" if "t5xxl" in shapes else "sdxl", "", said)
    width = next(iter(shapes.values()))[-1]
    return Kind("embedding", _WIDTHS[width], "", said) if width in _WIDTHS else None


_QUESTIONS: tuple[Callable[[Shapes, Header], Kind | None], ...] = (
    _lora,
    _beside,
    _denoiser,
    _autoencoder,
    _encoders,
    _upscaler,
    _embedding,
)
"""In this order: what comes first has names that what follows would take for its own."""

_STRANGERS: tuple[tuple[str, str], ...] = (
    ("motion_modules.", "a motion module of AnimateDiff"),
    ("time_stack.", "a model of films"),
    ("edm_mean", "a Playground 2.5 model"),
    ("edm_vpred.", "a CosXL model"),
    ("distilled_guidance_layer.", "a Chroma model"),
    ("double_stream_modulation", "a Flux.2 model"),
    (".absmax", "packed in 4 bits by bitsandbytes"),
    ("encoder_hid_proj.", "a Kolors model"),
    ("quantize.embedding.weight", "a VQ autoencoder"),
    ("double_layers.0.attn", "an AuraFlow model"),
    ("clip_txt_mapper.", "a Stable Cascade model"),
    ("cap_embedder.", "a Lumina model"),
    ("head.modulation", "a Wan model"),
    ("txt_norm.weight", "a Qwen-Image model"),
    ("patchify_proj.", "an LTX model"),
)

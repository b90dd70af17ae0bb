"""What all families of UNets have in common: their parts, from a file or a folder.

Recognising needs no torch; it is imported where networks are built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.diffusion.families import told_guidance
from studio.diffusion.schedules import Prediction, Sampling, linear, scaled_linear
from studio.errors import NodeError
from studio.models.recognise import kind_at

if TYPE_CHECKING:
    import torch

    from studio.diffusion.api import Loader
    from studio.diffusion.denoisers.unet import Added
    from studio.models.kinds import Kind
    from studio.types import Json, Recipe

Preview = Sequence[Sequence[float]]
_BAD_CONFIGURATION = (TypeError, KeyError, AttributeError, IndexError, ValueError, ZeroDivisionError)
_PARTS = ("unet", "clip_l", "clip_g", "clip_h", "vae")
_TABLES = {"scaled_linear": scaled_linear, "linear": linear}


@dataclass(frozen=True)
class Words:
    """How a family uses one of its text encoders; see `studio.diffusion.text.clip.Use`."""

    skip: int = 0
    normed: bool = True
    projected: bool = False


@dataclass(frozen=True)
class Told:
    """What a file or folder tells of a UNet beside its architecture.

    Attributes:
        name: Of the file or folder, small letters.
        variant: Of the family.
        tensors: Of the network, under the names of UNet2DConditionModel.
        metadata: What the file's author wrote.
        marks: Names of tensors that stand outside of all networks.
    """

    name: str
    variant: str
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    marks: frozenset[str]


def _never_added(told: Told) -> Added | None:
    return None


def _no_hint(told: Told) -> Callable[[tuple[int, ...]], torch.Tensor]:
    import torch

    return torch.zeros


@dataclass(frozen=True)
class LatentUnet:
    """A family of UNets; see `studio.diffusion.api.Family`.

    Attributes:
        name: Registered name.
        words: Text encoder (``clip_l`` …) → how it is used.
        scale: Factor of its autoencoder's latents, where no configuration tells it.
        downscale: Picture pixels per latent pixel along a side, likewise.
        preview: Latent → RGB 0–1, offsets last.
        predicts: Sampling of a UNet of which no scheduler's configuration tells.
        defaults: What suits a UNet; see `studio.diffusion.api.Denoiser`.
        added: What else the network is told; see `studio.diffusion.denoisers.unet.Facts`.
        idle_concat: See `studio.diffusion.denoisers.unet.Facts`.
    """

    name: str
    words: Mapping[str, Words]
    scale: float
    downscale: int
    preview: Preview
    predicts: Callable[[Told], Sampling]
    defaults: Callable[[Told], Mapping[str, Json]]
    added: Callable[[Told], Added | None] = _never_added
    idle_concat: Callable[[Told], Callable[[tuple[int, ...]], torch.Tensor]] = _no_hint

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        """Read header or index; see `studio.diffusion.api.Family`."""
        kind = kind_at(path)
        if kind is None or kind.family != self.name or kind.type not in ("checkpoint", "denoiser"):
            return None
        return {part: files_of_part(path, kind, part) for part in kind.parts if part in _PARTS}

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        """Build one part; see `studio.diffusion.api.Family`."""
        if recipe.part == "text_encoder":
            return self._text_encoder(recipe, loader)
        path = Path(recipe.path)
        kind = kind_at(path)
        if kind is None or recipe.part not in kind.parts:
            raise NodeError(f"There is no {recipe.part} in {path}.", "Choose another file or folder.")
        from studio.diffusion.files import pieces

        try:
            if recipe.part == "unet":
                return self._unet(path, kind, loader)
            return pieces.vae_at(path, kind, loader, (self.scale, 0.0))
        except _BAD_CONFIGURATION as error:
            raise unusable(recipe.part, path, error) from error

    def _unet(self, path: Path, kind: Kind, loader: Loader) -> Any:
        from studio.diffusion.denoisers.unet import Facts, UNet
        from studio.diffusion.files import layouts, pieces

        given, config = pieces.tensors_at(path, kind, "unet")
        tensors = layouts.unet(given, loader.check)
        metadata, marks = pieces.metadata_and_marks(path)
        told = Told(path.name.lower(), kind.variant, tensors, metadata, marks)
        scheduler = pieces.scheduler_at(path)
        mark = tensors.get(told_guidance.MARK)
        guided = None if mark is None else int(mark.shape[1])
        facts = Facts(
            sampling_of(scheduler) if scheduler else self.predicts(told),
            pieces.downscale_at(path, kind, self.downscale),
            preview_at(path, self.preview),
            self.defaults(told) if guided is None else {**self.defaults(told), **told_guidance.DEFAULTS},
            self.added(told) if guided is None else told_guidance.with_guidance(guided, self.added(told)),
            self.idle_concat(told),
        )
        network, source = pieces.unet_network(tensors, config, self.name, loader, path.name)
        return UNet(network, source, facts, loader.check)

    def _text_encoder(self, recipe: Recipe, loader: Loader) -> Any:
        from studio.diffusion.text import clip

        wanted = self.words
        members = {member.part: loader.get(member) for member in recipe.members}
        # The refiner has only the second of SDXL's encoders.
        networks: dict[str, Any] = {}
        for part, words in wanted.items():
            if part in members:
                network = members[part]
                networks[part.removeprefix("clip_")] = clip.Use(
                    network, network.tokenizer, words.skip, words.normed, words.projected
                )
        if not networks:
            raise NodeError(
                f"None of the text encoders is one that {self.name} uses.",
                "Load the text encoders made for this kind of model.",
            )
        join = clip.side_by_side if {"l", "g"} <= networks.keys() else clip.only
        return clip.Joined(networks, list(members.values()), join)


def files_of_part(path: Path, kind: Kind, part: str) -> tuple[str, ...]:
    """Files and folders (relative) that make the identity of a part; a file stands for itself."""
    if path.is_file():
        return (".",)
    folder = kind.parts[part]
    if part == "unet" and folder != ".":
        # How far the VAE shrinks pictures, and its colours, are the denoiser's to tell.
        return (folder, "scheduler", "vae/config.json", "vae/preview.json")
    if part.startswith(("clip_", "t5")) and folder != ".":
        return (folder, folder.replace("text_encoder", "tokenizer"))
    return (folder,)


def unusable(part: str, path: Path, error: Exception) -> NodeError:
    """A sentence for what a configuration, or a header, makes a library raise."""
    return NodeError(
        f"The {part} of {path} cannot be built: {type(error).__name__}: {error}.",
        "Download the model again, or choose another.",
    )


def sampling_of(found: Mapping[str, Any]) -> Sampling:
    """What a diffusers scheduler's configuration says of the training.

    Raises:
        NodeError: It names a noise schedule or prediction unknown here.
    """
    kind, prediction = found.get("beta_schedule"), found.get("prediction_type", "epsilon")
    if kind not in _TABLES or prediction not in ("epsilon", "v_prediction", "sample"):
        raise NodeError(
            f"The model was trained with the noise schedule “{kind}” and predicts “{prediction}”, "
            "which is unknown here.",
            "Choose another model.",
        )
    table = _TABLES[kind](
        float(found["beta_start"]),
        float(found["beta_end"]),
        int(found["num_train_timesteps"]),
        zero_snr=bool(found.get("rescale_betas_zero_snr", False)),
    )
    return Sampling(table, cast("Prediction", prediction))


def said_prediction(told: Told) -> Prediction | None:
    """What the file itself says that the network predicts; None if nothing."""
    said = told.metadata.get("modelspec.prediction_type", "").lower()
    if "v_pred" in told.marks or said in ("v", "v_prediction", "v-prediction"):
        return "v_prediction"
    return "epsilon" if said in ("epsilon", "eps") else None


def few_steps(told: Told) -> Mapping[str, Json]:
    """Defaults of a model distilled to few steps, by what its name says; empty for all others."""
    said = f"{told.name} {told.metadata.get('modelspec.title', '').lower()}"
    for word, defaults in _FEW_STEPS.items():
        if word in said:
            return defaults
    return {}


_FEW_STEPS: Mapping[str, Mapping[str, Json]] = {
    "lightning": {"steps": 4, "guidance": 1.0, "solver": "euler", "schedule": "sgm_uniform"},
    "hyper": {"steps": 4, "guidance": 1.0, "solver": "euler", "schedule": "sgm_uniform"},
    "turbo": {"steps": 4, "guidance": 1.0, "solver": "euler_ancestral", "schedule": "sgm_uniform"},
    "lcm": {"steps": 6, "guidance": 1.0, "solver": "lcm", "schedule": "sgm_uniform"},
    "dmd2": {"steps": 4, "guidance": 1.0, "solver": "lcm", "schedule": "sgm_uniform"},
}


def preview_at(path: Path, usual: Preview) -> Preview:
    """A folder may bring its own colours, beside its VAE."""

    try:
        rows = json.loads((path / "vae/preview.json").read_bytes())
        return tuple(tuple(float(value) for value in row) for row in rows)
    except (OSError, ValueError, TypeError):
        return usual


def grey_behind_a_mask(told: Told) -> Callable[[tuple[int, ...]], torch.Tensor]:
    """For inpainting models without a picture: all is to be painted, over plain grey; else nothing."""
    import torch

    def hint(shape: tuple[int, ...]) -> torch.Tensor:
        if told.variant != "inpainting" or shape[1] != len(_GREY) + 1:
            return torch.zeros(shape)
        channels = torch.tensor((1.0, *_GREY))
        return channels[None, :, None, None].expand(shape).clone()

    return hint


# What the usual autoencoder makes of middle grey, in the denoiser's scale.
_GREY = (0.8223, -0.6876, 0.6364, 0.1380)

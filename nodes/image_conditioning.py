"""Nodes that show a model pictures beside the latent: inpainting, editing, depth, enlarging, references."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from studio.api import Conditioning, Context, Image, Latent, Mask, Range, Seed, Vae, node


class Shown(NamedTuple):
    """What guides the sampler, and the latent to begin with.

    Attributes:
        positive: What the picture should show.
        negative: What it should not show.
        latent: Where to begin.
    """

    positive: Conditioning
    negative: Conditioning
    latent: Latent


class Edited(NamedTuple):
    """What guides the sampler, and the latent to begin with.

    Attributes:
        positive: The instruction, with the picture.
        negative: What is not wanted, with the picture; the middle of a guider with two strengths.
        pictureless: What is not wanted, without the picture; the negative of a guider with two strengths.
        latent: Empty, as large as the picture.
    """

    positive: Conditioning
    negative: Conditioning
    pictureless: Conditioning
    latent: Latent


class Told(NamedTuple):
    """What guides the sampler.

    Attributes:
        positive: What the picture should show.
        negative: What it should not show.
    """

    positive: Conditioning
    negative: Conditioning


@node(
    "inpaint_model_conditioning",
    category="Conditioning",
    device=True,
    synonyms=("InpaintModelConditioning", "inpaint", "outpaint", "Flux Fill", "9 channels"),
)
def inpaint_model_conditioning(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning | None,
    vae: Vae,
    image: Image,
    mask: Mask,
    *,
    keep: bool = True,
) -> Shown:
    """Show a model made for inpainting the picture around what it is to paint; also for outpainting.

    Args:
        positive: What the picture should show.
        negative: What it should not show.
        vae: Autoencoder of the model.
        image: The whole picture, widened where it is to be continued.
        mask: What is to be painted.
        keep: Leave the rest as it is; otherwise the model paints it again, which may fit better.
    """
    from studio.diffusion.pictures.image_conditioning import inpainting

    both, latent = inpainting(ctx, [positive, negative or Conditioning(())], vae, image, mask, keep=keep)
    return Shown(both[0], both[1], latent)


@node(
    "edit_conditioning",
    category="Conditioning",
    device=True,
    synonyms=(
        "InstructPixToPixConditioning",
        "InstructPix2Pix",
        "pix2pix",
        "Flux Canny",
        "Flux Depth",
        "edit by instruction",
    ),
)
def edit_conditioning(
    ctx: Context, positive: Conditioning, negative: Conditioning | None, vae: Vae, image: Image
) -> Edited:
    """Show a model the picture that it edits by instruction, or the edges or depth that it follows.

    Args:
        positive: The instruction; for models that follow edges or depth, what the picture should show.
        negative: What is not wanted.
        vae: Autoencoder of the model.
        image: Picture to edit, or edges or depth to follow.
    """
    from studio.diffusion.pictures.image_conditioning import editing

    plain = negative or Conditioning(())
    both, latent = editing(ctx, [positive, plain], vae, image)
    return Edited(both[0], both[1], plain, latent)


@node(
    "depth_conditioning",
    category="Conditioning",
    synonyms=("depth2img", "Depth2Image", "Stable Diffusion 2 depth"),
)
def depth_conditioning(
    positive: Conditioning, negative: Conditioning | None, image: Image, latent: Latent
) -> Told:
    """Show Stable Diffusion 2 depth how near everything in a picture is.

    Args:
        positive: What the picture should show.
        negative: What it should not show.
        image: Depth: what is near is bright.
        latent: What will be sampled, usually the encoded picture; depth is fitted to its size.
    """
    from studio.diffusion.pictures.image_conditioning import depth

    return Told(*depth([positive, negative or Conditioning(())], image, latent))


@node(
    "upscale_conditioning",
    category="Conditioning",
    title="×4 upscale conditioning",
    synonyms=("SD_4XUpscale_Conditioning", "x4 upscaler", "StableDiffusionUpscale"),
)
def upscale_conditioning(
    positive: Conditioning,
    negative: Conditioning | None,
    image: Image,
    *,
    noise_level: Annotated[int, Range(0, 350)] = 20,
    seed: Seed = 0,
) -> Shown:
    """Show the ×4 diffusion upscaler the small picture.

    Args:
        positive: What the picture shows.
        negative: What it should not show.
        image: The small picture; the result is four times as wide and high.
        noise_level: How much noise is mixed into it; more lets the model invent more.
        seed: Number from which that noise is drawn.
    """
    from studio.diffusion.pictures.image_conditioning import enlarging

    both, latent = enlarging([positive, negative or Conditioning(())], image, noise_level, seed)
    return Shown(both[0], both[1], latent)


@node(
    "reference_latent",
    category="Conditioning",
    synonyms=("ReferenceLatent", "Flux Kontext", "edit by instruction", "FluxKontextImageScale"),
)
def reference_latent(conditioning: Conditioning, latent: Latent) -> Conditioning:
    """Let Flux Kontext look at a picture; several in a row are shown side by side.

    Args:
        conditioning: The instruction.
        latent: The encoded picture.
    """
    from studio.diffusion.pictures.image_conditioning import referring

    return referring(conditioning, latent)

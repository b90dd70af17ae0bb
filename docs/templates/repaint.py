"""Painting parts of pictures anew."""

from __future__ import annotations

from docs.templates.parts import PICTURE, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("repaint/under_a_mask", "Repaint under a mask")
def under_a_mask(sheet: Sheet) -> None:
    """Any model can repaint: the rest is held fast at every step."""
    sheet.note(
        "**Repaint under a mask.** White is painted anew, black is kept, at every step; the last node puts back the "
        "kept pixels exactly. Replace the shape by the alpha channel or a picture of a mask of your own."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "a red heart on the beach, glossy", load=load)
    shape = sheet.add("shape_mask", width=128, height=128)
    soft = sheet.add("feather_mask", mask=shape, pixels=8.0)
    sheet.column(120)
    latent = sheet.add("vae_encode", vae=load.vae, image=picture.image)
    masked = sheet.add("set_latent_mask", latent=latent, mask=soft)
    end = sampled(sheet, words, masked, denoise=0.9)
    decoded = shown(sheet, load, end, save=False)
    sheet.column()
    whole = sheet.add("composite_images", below=picture.image, above=decoded, mask=soft)
    sheet.column()
    sheet.add("save_image", image=whole)


@template("repaint/soft_mask", "Repaint more here, less there")
def soft_mask(sheet: Sheet) -> None:
    """Differential diffusion: the mask says how much."""
    sheet.note(
        "**Differential diffusion.** Grey in the mask means: change a little. The brighter, the earlier in the steps "
        "a place is let go."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    sheet.column()
    soft = sheet.add("differential_diffusion", model=load.model)
    words = told(sheet, "a palm tree in the snow, glossy", load=load)
    slope = sheet.add("gradient_mask", width=128, height=128)
    sheet.column(120)
    latent = sheet.add("vae_encode", vae=load.vae, image=picture.image)
    masked = sheet.add("set_latent_mask", latent=latent, mask=slope)
    end = sampled(sheet, words, masked, model=soft)
    shown(sheet, load, end)


@template("repaint/outpaint", "Paint beyond the edge")
def outpaint(sheet: Sheet) -> None:
    """Room beside the picture, painted in."""
    sheet.note(
        "**Outpainting.** The picture is given room on the right, which is then repainted with a soft seam."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "a palm tree on the beach", load=load)
    padded = sheet.add("pad_for_outpainting", image=picture.image, right=64, feather=16, fill="edge")
    sheet.column(120)
    latent = sheet.add("vae_encode", vae=load.vae, image=padded.image)
    masked = sheet.add("set_latent_mask", latent=latent, mask=padded.mask)
    end = sampled(sheet, words, masked, denoise=0.95)
    shown(sheet, load, end)

"""What many templates begin and end with."""

from __future__ import annotations

from typing import Any, NamedTuple

from docs.templates.sheet import Made, Sheet

SIDE_PX, STEPS, GUIDANCE = 128, 20, 4.0
"""What suits the model that ships."""
PICTURE = "assets/pictures/palm_tree.png"


class Told(NamedTuple):
    """A model with prompts."""

    load: Made
    positive: Made
    negative: Made


def told(
    sheet: Sheet, prompt: str | Made, negative: str = "", *, load: Made | None = None, **knobs: Any
) -> Told:
    """A checkpoint, and in the next column its two prompts."""
    load = load or sheet.add("load_checkpoint")
    sheet.column(120)
    one = sheet.add("encode_text", "Prompt", text_encoder=load.text_encoder, text=prompt, **knobs)
    two = sheet.add("encode_text", "Negative prompt", text_encoder=load.text_encoder, text=negative)
    return Told(load, one, two)


def sampled(sheet: Sheet, told: Told, latent: Any, **given: Any) -> Made:
    """A K sampler in the next column."""
    sheet.column(60)
    settings: dict[str, Any] = {
        "model": told.load.model,
        "positive": told.positive,
        "negative": told.negative,
        "seed": 8,
        "steps": STEPS,
        "guidance": GUIDANCE,
    }
    return sheet.add("k_sampler", latent=latent, **(settings | given))


def shown(sheet: Sheet, load: Made, latent: Any, *, save: bool = True) -> Made:
    """Decoded in the next column, and saved in the one after."""
    sheet.column()
    decoded = sheet.add("vae_decode", vae=load.vae, latent=latent)
    if save:
        sheet.column()
        sheet.add("save_image", image=decoded)
    return decoded


def canvas(sheet: Sheet, side_px: int = SIDE_PX) -> Made:
    """An empty latent below what stands in this column."""
    return sheet.add("empty_latent", width=side_px, height=side_px)

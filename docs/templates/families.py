"""What is particular to a family of models."""

from __future__ import annotations

from docs.templates.parts import PICTURE, canvas
from docs.templates.sheet import Made, Sheet, template

TEXT = "a lighthouse in a storm, oil on canvas"


def _flux_prompt(sheet: Sheet, load: Made, text: str, guidance: float) -> Made:
    sheet.column(60)
    return sheet.add(
        "encode_text_flux",
        "Prompt",
        text_encoder=load.text_encoder,
        text_l=text,
        text_t5=text,
        guidance=guidance,
    )


def _flux_end(sheet: Sheet, load: Made, positive: object, latent: object) -> None:
    sheet.column(60)
    end = sheet.add(
        "k_sampler",
        model=load.model,
        positive=positive,
        latent=latent,
        steps=20,
        guidance=1.0,
        solver="euler",
        schedule="simple",
    )
    sheet.column()
    decoded = sheet.add("vae_decode", vae=load.vae, latent=end)
    sheet.column()
    sheet.add("save_image", image=decoded)


@template("families/sdxl_with_refiner", "SDXL with its refiner")
def sdxl_with_refiner(sheet: Sheet) -> None:
    """The base stops before the end, the refiner goes on."""
    sheet.note(
        "**SDXL with its refiner.** Choose the two checkpoints. The base takes the first 20 of 25 steps and leaves its "
        "noise in; the refiner takes the last five. Moving the border later computes only the steps between."
    )
    base, refiner = sheet.add("load_checkpoint", "Base"), sheet.add("load_checkpoint", "Refiner")
    sheet.column(60)
    positive = sheet.add(
        "encode_text_sdxl", "Prompt", text_encoder=base.text_encoder, text_g=TEXT, text_l=TEXT
    )
    negative = sheet.add("encode_text_sdxl", "Negative prompt", text_encoder=base.text_encoder)
    empty = canvas(sheet, 1024)
    sheet.column(60)
    more = sheet.add("encode_text_refiner", "Prompt, refiner", text_encoder=refiner.text_encoder, text=TEXT)
    less = sheet.add(
        "encode_text_refiner", "Negative, refiner", text_encoder=refiner.text_encoder, aesthetic_score=2.5
    )
    sheet.column(60)
    first = sheet.add(
        "k_sampler_advanced",
        model=base.model,
        positive=positive,
        negative=negative,
        latent=empty,
        steps=25,
        end_step=20,
        leftover_noise=True,
    )
    sheet.column(60)
    second = sheet.add(
        "k_sampler_advanced",
        model=refiner.model,
        positive=more,
        negative=less,
        latent=first,
        add_noise=False,
        steps=25,
        start_step=20,
    )
    sheet.column()
    decoded = sheet.add("vae_decode", vae=base.vae, latent=second)
    sheet.column()
    sheet.add("save_image", image=decoded)


@template("families/sdxl_turbo", "SDXL Turbo")
def sdxl_turbo(sheet: Sheet) -> None:
    """One to four steps, no negative prompt."""
    sheet.note(
        "**Turbo, Lightning, LCM.** Models distilled to few steps want guidance 1 and no negative prompt. For "
        "LCM take the solver lcm and four steps."
    )
    load = sheet.add("load_checkpoint")
    sheet.column(60)
    positive = sheet.add(
        "encode_text", "Prompt", text_encoder=load.text_encoder, text="a lighthouse in a storm"
    )
    empty = canvas(sheet, 512)
    sheet.column(60)
    end = sheet.add(
        "k_sampler",
        model=load.model,
        positive=positive,
        latent=empty,
        steps=1,
        guidance=1.0,
        solver="euler_ancestral",
        schedule="sgm_uniform",
    )
    sheet.column()
    decoded = sheet.add("vae_decode", vae=load.vae, latent=end)
    sheet.column()
    sheet.add("save_image", image=decoded)


@template("families/stable_diffusion_3", "Stable Diffusion 3.5")
def stable_diffusion_3(sheet: Sheet) -> None:
    """A rectified flow with three text encoders."""
    sheet.note(
        "**Stable Diffusion 3.** The three text encoders can be told different things; T5 may be left out. Its flow "
        "is shifted by 3, which *Model sampling, flow* changes."
    )
    load = sheet.add("load_checkpoint")
    sheet.column(60)
    positive = sheet.add(
        "encode_text_sd3", "Prompt", text_encoder=load.text_encoder, text_l=TEXT, text_g=TEXT, text_t5=TEXT
    )
    negative = sheet.add("encode_text_sd3", "Negative prompt", text_encoder=load.text_encoder)
    empty = canvas(sheet, 1024)
    sheet.column(60)
    shifted = sheet.add("model_sampling_flow", model=load.model, shift=3.0)
    end = sheet.add(
        "k_sampler",
        model=shifted,
        positive=positive,
        negative=negative,
        latent=empty,
        steps=28,
        guidance=4.5,
        solver="euler",
        schedule="simple",
    )
    sheet.column()
    decoded = sheet.add("vae_decode", vae=load.vae, latent=end)
    sheet.column()
    sheet.add("save_image", image=decoded)


@template("families/flux", "Flux")
def flux(sheet: Sheet) -> None:
    """A guidance-distilled flow: no negative prompt."""
    sheet.note(
        "**Flux.** The guidance is told to the model rather than computed, so there is no negative prompt and the "
        "sampler's own guidance is 1. For schnell take 4 steps."
    )
    load = sheet.add("load_checkpoint")
    positive = _flux_prompt(sheet, load, TEXT, 3.5)
    _flux_end(sheet, load, positive, canvas(sheet, 1024))


@template("families/flux_fill", "Flux Fill")
def flux_fill(sheet: Sheet) -> None:
    """Inpainting and outpainting with Flux."""
    sheet.note(
        "**Flux Fill.** Choose Flux.1 Fill. What is white in the mask is painted; the guidance wants to be high."
    )
    load = sheet.add("load_checkpoint", "Flux Fill")
    picture = sheet.add("load_image", path=PICTURE)
    positive = _flux_prompt(sheet, load, "a red heart on the beach", 30.0)
    shape = sheet.add("shape_mask", width=128, height=128)
    sheet.column(60)
    seen = sheet.add(
        "inpaint_model_conditioning", positive=positive, vae=load.vae, image=picture.image, mask=shape
    )
    _flux_end(sheet, load, seen.positive, seen.latent)


@template("families/flux_kontext", "Flux Kontext")
def flux_kontext(sheet: Sheet) -> None:
    """Editing a picture in words with Flux."""
    sheet.note("**Flux Kontext.** Choose Flux.1 Kontext and say what to change in the picture it is shown.")
    load = sheet.add("load_checkpoint", "Flux Kontext")
    picture = sheet.add("load_image", path=PICTURE)
    positive = _flux_prompt(sheet, load, "make it snow", 2.5)
    seen = sheet.add("vae_encode", vae=load.vae, image=picture.image)
    sheet.column(60)
    both = sheet.add("reference_latent", conditioning=positive, latent=seen)
    _flux_end(sheet, load, both, seen)


@template("families/flux_redux", "Flux Redux")
def flux_redux(sheet: Sheet) -> None:
    """Variations of a picture with Flux."""
    sheet.note(
        "**Flux Redux.** The style model and SigLIP tell Flux a picture as words; strength weighs it against the "
        "prompt."
    )
    load = sheet.add("load_checkpoint", "Flux")
    picture = sheet.add("load_image", path=PICTURE)
    vision, style = sheet.add("load_clip_vision", "SigLIP"), sheet.add("load_style_model")
    positive = _flux_prompt(sheet, load, TEXT, 3.5)
    embeds = sheet.add("encode_image", clip_vision=vision, image=picture.image)
    empty = canvas(sheet, 1024)
    sheet.column(60)
    both = sheet.add("apply_style_model", conditioning=positive, style_model=style, embeds=embeds)
    _flux_end(sheet, load, both, empty)

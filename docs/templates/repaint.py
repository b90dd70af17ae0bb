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


@template("repaint/inpainting_model", "Repaint with an inpainting model")
def inpainting_model(sheet: Sheet) -> None:
    """Models that see the mask and the picture around it."""
    sheet.note(
        "**Inpainting model.** Choose a checkpoint made for inpainting (nine channels): it is shown the picture "
        "around the mask and fits what it paints to it. For outpainting, pad the picture first."
    )
    load = sheet.add("load_checkpoint", "Inpainting model")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "a red heart on the beach", load=load)
    shape = sheet.add("shape_mask", width=128, height=128)
    sheet.column(120)
    shown_to = sheet.add(
        "inpaint_model_conditioning",
        positive=words.positive,
        negative=words.negative,
        vae=load.vae,
        image=picture.image,
        mask=shape,
    )
    end = sampled(
        sheet, words, shown_to.latent, positive=shown_to.positive, negative=shown_to.negative, guidance=7.0
    )
    decoded = shown(sheet, load, end, save=False)
    sheet.column()
    whole = sheet.add("composite_images", below=picture.image, above=decoded, mask=shape)
    sheet.column()
    sheet.add("save_image", image=whole)


@template("repaint/instruction", "Edit by instruction")
def instruction(sheet: Sheet) -> None:
    """InstructPix2Pix: two strengths of guidance."""
    sheet.note(
        "**Edit by instruction.** Choose InstructPix2Pix or a model like it, and say what to change. The guider has two "
        "strengths: for the words, and for keeping to the picture.",
    )
    load = sheet.add("load_checkpoint", "InstructPix2Pix")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "make it snow", load=load)
    sheet.column(120)
    edit = sheet.add(
        "edit_conditioning",
        positive=words.positive,
        negative=words.negative,
        vae=load.vae,
        image=picture.image,
    )
    noise = sheet.add("random_noise", seed=8)
    sheet.column(60)
    guider = sheet.add(
        "dual_cfg_guider",
        model=load.model,
        positive=edit.positive,
        middle=edit.negative,
        negative=edit.pictureless,
    )
    levels = sheet.add("schedule_sigmas", model=load.model, schedule="karras", steps=20)
    solver = sheet.add("pick_solver", solver="euler_ancestral")
    sheet.column(60)
    end = sheet.add(
        "sample_custom", noise=noise, guider=guider, solver=solver, sigmas=levels, latent=edit.latent
    )
    shown(sheet, load, end.latent)


@template("repaint/depth", "Depth to image")
def depth(sheet: Sheet) -> None:
    """Stable Diffusion 2 depth: the shape of a picture, filled anew."""
    sheet.note(
        "**Depth to image.** Choose Stable Diffusion 2 depth. Here a blurred picture stands for the depth map, so that "
        "nothing else is needed: replace it by *Depth map* where you have a depth model.",
    )
    load = sheet.add("load_checkpoint", "SD 2 depth")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "a lighthouse", load=load)
    map_ = sheet.add("blur_image", "Depth", image=picture.image)
    sheet.column(120)
    start = sheet.add("vae_encode", vae=load.vae, image=picture.image)
    deep = sheet.add(
        "depth_conditioning", positive=words.positive, negative=words.negative, image=map_, latent=start
    )
    end = sampled(sheet, words, start, positive=deep.positive, negative=deep.negative, denoise=0.9)
    shown(sheet, load, end)

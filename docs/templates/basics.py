"""Larger pictures, variations, and models that are added to a model."""

from __future__ import annotations

from docs.templates.parts import GUIDANCE, PICTURE, STEPS, canvas, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("larger/hires_pass", "Hires pass")
def hires_pass(sheet: Sheet) -> None:
    """Sample small, enlarge the latent, sample again."""
    sheet.note(
        "**Hires pass.** The first sampler decides what is where at the size the model was trained on; the "
        "second one draws details into the enlarged latent. Denoise below 0.4 keeps more, above 0.6 changes more."
    )
    words = told(sheet, "a penguin in the snow, glossy")
    first = sampled(sheet, words, canvas(sheet))
    sheet.column(60)
    large = sheet.add("latent_upscale", latent=first, factor=1.5)
    second = sampled(sheet, words, large, denoise=0.5, seed=9)
    shown(sheet, words.load, second)


@template("larger/upscale_model", "Enlarge with a model")
def upscale_model(sheet: Sheet) -> None:
    """ESRGAN and its kin."""
    sheet.note(
        "**Enlarge with a model.** Choose an ESRGAN, RRDB or SRVGG file. Large pictures are done in tiles."
    )
    picture = sheet.add("load_image", path=PICTURE)
    model = sheet.add("load_upscale_model")
    sheet.column()
    large = sheet.add("upscale_with_model", upscale_model=model, image=picture)
    sheet.column()
    sheet.add("save_image", image=large)


@template("larger/tiled_diffusion", "Tiled diffusion")
def tiled_diffusion(sheet: Sheet) -> None:
    """A picture larger than the model can look at, in overlapping tiles."""
    sheet.note(
        "**Tiled diffusion.** Every step is computed in overlapping tiles that are blended, so that memory stays "
        "that of one tile. Start from a picture, or each tile tells a story of its own."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    sheet.column()
    tiled = sheet.add("tiled_diffusion", model=load.model, tile=128, overlap=32)
    words = told(sheet, "a red heart on the beach, glossy", load=load)
    large = sheet.add("scale_image", image=picture.image, factor=1.5)
    sheet.column(420)
    start = sheet.add("vae_encode", vae=load.vae, image=large)
    end = sampled(sheet, words, start, model=tiled, denoise=0.6)
    shown(sheet, load, end)


@template("models/lora", "LoRA")
def lora(sheet: Sheet) -> None:
    """A LoRA between checkpoint and prompts."""
    sheet.note(
        "**LoRA.** Choose a file in *Load LoRA*. Its two strengths act on the picture and on the words; start and "
        "end let it act in a part of the steps only. Chain several one after the other."
    )
    load = sheet.add("load_checkpoint")
    sheet.column()
    patched = sheet.add("load_lora", model=load.model, text_encoder=load.text_encoder, strength=0.8)
    sheet.column(120)
    positive = sheet.add("encode_text", "Prompt", text_encoder=patched.text_encoder, text="a castle at night")
    negative = sheet.add("encode_text", "Negative prompt", text_encoder=patched.text_encoder)
    empty = canvas(sheet)
    sheet.column(60)
    end = sheet.add(
        "k_sampler",
        model=patched.model,
        positive=positive,
        negative=negative,
        latent=empty,
        seed=8,
        steps=STEPS,
        guidance=GUIDANCE,
    )
    shown(sheet, load, end)


@template("models/controlnet", "ControlNet")
def controlnet(sheet: Sheet) -> None:
    """The edges of a picture, filled with something else."""
    sheet.note(
        "**ControlNet.** Choose a ControlNet for your model, and a preprocessor that makes what it was trained on. "
        "Start and end say in which part of the steps it acts: ending at 0.6 leaves the details to the model."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    net = sheet.add("load_controlnet")
    words = told(sheet, "a palm tree in the snow, glossy", load=load)
    edges = sheet.add("canny", image=picture.image)
    sheet.column(120)
    led = sheet.add(
        "apply_controlnet",
        positive=words.positive,
        negative=words.negative,
        control_net=net,
        image=edges,
        strength=0.9,
        end=0.8,
    )
    empty = canvas(sheet)
    end = sampled(sheet, words, empty, positive=led.positive, negative=led.negative)
    shown(sheet, load, end)


@template("models/several_controlnets", "Several ControlNets")
def several_controlnets(sheet: Sheet) -> None:
    """Two at once, one of them under a mask and early only."""
    sheet.note(
        "**Several at once.** Conditioning passes from one to the next. The second acts on the left half only, "
        "and only in the first half of the steps. A T2I-Adapter is loaded and applied in just the same way."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    first, second = sheet.add("load_controlnet", "Edges"), sheet.add("load_controlnet", "Colours")
    words = told(sheet, "a palm tree in the snow, glossy", load=load)
    edges = sheet.add("canny", image=picture.image)
    colours = sheet.add("colour_hint", image=picture.image, cell=16)
    half = sheet.add("gradient_mask", width=128, height=128, begin=0.45, end=0.55)
    sheet.column(120)
    one = sheet.add(
        "apply_controlnet", positive=words.positive, negative=words.negative, control_net=first, image=edges
    )
    two = sheet.add(
        "apply_controlnet",
        positive=one.positive,
        negative=one.negative,
        control_net=second,
        image=colours,
        mask=half,
        strength=0.7,
        end=0.5,
    )
    empty = canvas(sheet)
    end = sampled(sheet, words, empty, positive=two.positive, negative=two.negative)
    shown(sheet, load, end)


@template("models/ip_adapter", "IP-Adapter")
def ip_adapter(sheet: Sheet) -> None:
    """A picture told beside the words."""
    sheet.note(
        "**IP-Adapter.** A picture says what is hard to put into words. Choose the adapter and the image encoder it "
        "was trained with (for most: CLIP ViT-H)."
    )
    _told_a_picture(sheet, "all", 0.7)


@template("models/style_transfer", "Style transfer")
def style_transfer(sheet: Sheet) -> None:
    """The look of a picture without what is on it."""
    sheet.note(
        "**Style transfer.** With *take* at “style” only those layers listen to the picture that decide colours and "
        "textures; “composition” is the opposite."
    )
    _told_a_picture(sheet, "style", 1.0)


def _told_a_picture(sheet: Sheet, take: str, strength: float) -> None:
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    vision, adapter = sheet.add("load_clip_vision"), sheet.add("load_ip_adapter")
    words = told(sheet, "a castle at night", load=load)
    embeds = sheet.add("encode_image", clip_vision=vision, image=picture.image)
    sheet.column(120)
    both = sheet.add(
        "apply_ip_adapter",
        positive=words.positive,
        negative=words.negative,
        ip_adapter=adapter,
        embeds=embeds,
        strength=strength,
        take=take,
    )
    empty = canvas(sheet)
    end = sampled(sheet, words, empty, positive=both.positive, negative=both.negative)
    shown(sheet, load, end)


@template("models/parts", "A model from parts")
def parts(sheet: Sheet) -> None:
    """Denoiser, text encoder and VAE from files of their own."""
    sheet.note(
        "**From parts.** Where denoiser, text encoders and VAE are files of their own, each has its loader. Up to "
        "three text encoders make one: CLIP-L, CLIP-G and T5."
    )
    model = sheet.add("load_diffusion_model")
    words = sheet.add("load_text_encoders")
    vae = sheet.add("load_vae")
    sheet.column(120)
    positive = sheet.add("encode_text", "Prompt", text_encoder=words, text="a castle at night")
    negative = sheet.add("encode_text", "Negative prompt", text_encoder=words)
    empty = canvas(sheet, 512)
    sheet.column(60)
    end = sheet.add("k_sampler", model=model, positive=positive, negative=negative, latent=empty, seed=8)
    sheet.column()
    decoded = sheet.add("vae_decode", vae=vae, latent=end)
    sheet.column()
    sheet.add("save_image", image=decoded)


@template("models/patches", "FreeU, HyperTile, token merging")
def patches(sheet: Sheet) -> None:
    """Patches of the model, one after the other."""
    sheet.note(
        "**Patches of the model.** FreeU weighs the two paths of the UNet; HyperTile and token merging trade a "
        "little detail for speed at large sizes. Bypass one (D) to see what it does."
    )
    load = sheet.add("load_checkpoint")
    sheet.column()
    free = sheet.add("freeu", model=load.model)
    tiled = sheet.add("hypertile", model=free)
    merged = sheet.add("token_merging", model=tiled)
    words = told(sheet, "a mushroom on the beach, glossy", load=load)
    end = sampled(sheet, words, canvas(sheet), model=merged)
    shown(sheet, load, end)


@template("larger/times_four", "Enlarge four times by diffusion")
def times_four(sheet: Sheet) -> None:
    """The ×4 upscaler of Stable Diffusion 2."""
    sheet.note(
        "**×4 upscaler.** Choose its checkpoint. It is shown the small picture with a little noise on it: more noise "
        "lets it invent more. It was made for 128–512 px pictures of photographic kind."
    )
    load = sheet.add("load_checkpoint", "×4 upscaler")
    picture = sheet.add("load_image", path=PICTURE)
    words = told(sheet, "a palm tree on the beach", load=load)
    sheet.column(120)
    small = sheet.add(
        "upscale_conditioning", positive=words.positive, negative=words.negative, image=picture.image
    )
    end = sampled(sheet, words, small.latent, positive=small.positive, negative=small.negative, guidance=9.0)
    shown(sheet, load, end)


@template("models/variations_by_unclip", "Variations of a picture (unCLIP)")
def unclip(sheet: Sheet) -> None:
    """A model that is told pictures as others are told words."""
    sheet.note(
        "**unCLIP.** Choose Stable Diffusion 2.1 unCLIP and its image encoder. Noise on what is seen makes the "
        "variations bolder."
    )
    load = sheet.add("load_checkpoint", "SD 2.1 unCLIP")
    picture = sheet.add("load_image", path=PICTURE)
    vision = sheet.add("load_clip_vision")
    words = told(sheet, "", load=load)
    embeds = sheet.add("encode_image", clip_vision=vision, image=picture.image)
    sheet.column(120)
    seen = sheet.add(
        "unclip_conditioning", model=load.model, conditioning=words.positive, embeds=embeds, noise_level=0
    )
    empty = canvas(sheet, 768)
    end = sampled(sheet, words, empty, positive=seen)
    shown(sheet, load, end)

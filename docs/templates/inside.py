"""Looking inside."""

from __future__ import annotations

from docs.templates.parts import PICTURE, canvas, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("inside/latent", "Inside a latent")
def latent(sheet: Sheet) -> None:
    """Channels, histogram, and what changing a channel does."""
    sheet.note(
        "**Inside a latent.** Four channels are all the decoder gets. Shift one and see what it stands for: in most "
        "models the first is brightness, the others are opposite colours."
    )
    words = told(sheet, "a red heart on the beach, glossy")
    end = sampled(sheet, words, canvas(sheet))
    sheet.column()
    sheet.add("latent_channels", latent=end)
    sheet.add("latent_histogram", latent=end)
    sheet.column()
    moved = sheet.add("edit_latent_channel", latent=end, channel=0, change="offset", amount=0.8)
    sheet.add("latent_picture", latent=moved, model=words.load.model)
    sheet.column()
    before = sheet.add("vae_decode", "As it was", vae=words.load.vae, latent=end)
    after = sheet.add("vae_decode", "Changed", vae=words.load.vae, latent=moved)
    sheet.column()
    sheet.add("compare_images", first=before, second=after)


@template("inside/reconstruction", "What a VAE loses")
def reconstruction(sheet: Sheet) -> None:
    """There and back, beside plain resampling."""
    sheet.note(
        "**What a VAE loses.** The picture is encoded and decoded, and for comparison only shrunk and enlarged to "
        "the same amount of numbers."
    )
    load = sheet.add("load_checkpoint")
    picture = sheet.add("load_image", path=PICTURE)
    sheet.column()
    both = sheet.add("vae_reconstruction", vae=load.vae, image=picture.image)
    sheet.column()
    sheet.add("save_image", image=both.comparison)


@template("inside/attention", "Where a word looks")
def attention(sheet: Sheet) -> None:
    """The attention of one word, as a map and as a mask."""
    sheet.note(
        "**Attention maps.** How much each place of the picture listens to a word, averaged over layers and steps. "
        "The mask can go straight into *Set conditioning mask* or *Set latent mask*."
    )
    words = told(sheet, "a fox in a meadow, glossy")
    end = sampled(sheet, words, canvas(sheet))
    sheet.column()
    sheet.add(
        "attention_maps",
        model=words.load.model,
        text_encoder=words.load.text_encoder,
        latent=end,
        text="a fox in a meadow, glossy",
        words="fox",
    )
    shown(sheet, words.load, end, save=False)


@template("inside/two_solvers", "Two solvers compared")
def two_solvers(sheet: Sheet) -> None:
    """The same noise, two ways down."""
    sheet.note(
        "**Compared.** The same noise and prompt; only the solver differs. The difference is shown fourfold."
    )
    words = told(sheet, "a castle at night")
    empty = canvas(sheet)
    one = sampled(sheet, words, empty, solver="euler")
    two = sheet.add(
        "k_sampler",
        model=words.load.model,
        positive=words.positive,
        negative=words.negative,
        latent=empty,
        seed=8,
        guidance=4.0,
        solver="dpmpp_2m",
    )
    sheet.column()
    first = sheet.add("vae_decode", "euler", vae=words.load.vae, latent=one)
    second = sheet.add("vae_decode", "dpmpp_2m", vae=words.load.vae, latent=two)
    sheet.column()
    sheet.add("compare_images", first=first, second=second)
    sheet.add("compare_grid", first=first, second=second, labels="euler, dpmpp_2m")


@template("inside/preprocessors", "Preprocessors side by side")
def preprocessors(sheet: Sheet) -> None:
    """What ControlNets are shown."""
    sheet.note("**Preprocessors.** What each makes of a picture for a ControlNet to follow.")
    picture = sheet.add("load_image", path=PICTURE)
    sheet.column()
    for kind in ("canny", "line_art", "soft_edge"):
        sheet.add(kind, image=picture.image)
    sheet.column()
    for kind in ("scribble", "colour_hint", "tile_hint"):
        sheet.add(kind, image=picture.image)
    sheet.column()
    sheet.add("pose_skeleton", width=128, height=128)
    sheet.add("blur_image", image=picture.image)

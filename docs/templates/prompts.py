"""What prompts can do, and where they act."""

from __future__ import annotations

from docs.templates.parts import canvas, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("prompts/weights_and_schedules", "Weights and schedules in a prompt")
def schedules(sheet: Sheet) -> None:
    """A1111's reading, in which a prompt changes over the steps."""
    sheet.note(
        "**Weights and schedules.** In the reading “a1111”, `(x:1.3)` weighs, `[x]` weakens, `[a:b:0.4]` turns from a "
        "to b at 40 % of the steps, `[a|b]` alternates, BREAK begins a new chunk. In “comfyui” brackets and BREAK "
        "are plain text. Changing what comes late only computes the late steps again.",
        140,
    )
    words = told(sheet, "a [castle:penguin:0.4] in the (snow:1.2), glossy", reading="a1111")
    end = sampled(sheet, words, canvas(sheet))
    shown(sheet, words.load, end)


@template("prompts/wildcards", "Choices and wildcards")
def wildcards(sheet: Sheet) -> None:
    """A prompt that is drawn anew."""
    sheet.note(
        "**Choices.** `{a|b|c}` draws one, `{2$$, $$a|b|c}` two, and `__name__` a line of name.txt in your folder of "
        "wildcards. The seed decides; set it to *new each run* for a new draw each time."
    )
    load = sheet.add("load_checkpoint")
    drawn = sheet.add(
        "resolve_prompt", text="a {castle|mushroom|penguin} {in the snow|at night}, glossy", seed=3
    )
    words = told(sheet, drawn, load=load)
    end = sampled(sheet, words, canvas(sheet))
    shown(sheet, load, end)


@template("prompts/textual_inversion", "Textual inversion")
def textual_inversion(sheet: Sheet) -> None:
    """An embedding by its name."""
    sheet.note(
        "**Textual inversion.** Put the file into a folder of embeddings and write `embedding:name` (or `(name:1.1)` "
        "in the reading “a1111”) where a word would stand."
    )
    words = told(sheet, "a castle at night in the style of embedding:mine")
    end = sampled(sheet, words, canvas(sheet))
    shown(sheet, words.load, end)


@template("prompts/regions", "Regions")
def regions(sheet: Sheet) -> None:
    """Two prompts, each for its half."""
    sheet.note(
        "**Regions.** Each prompt acts under its mask; where masks overlap they are mixed. A third prompt for the "
        "whole picture, weakly, ties them together."
    )
    load = sheet.add("load_checkpoint")
    left = sheet.add("gradient_mask", "Left", width=128, height=128, begin=0.4, end=0.6)
    sheet.column(120)
    one = sheet.add("encode_text", "Left", text_encoder=load.text_encoder, text="a castle at night")
    two = sheet.add(
        "encode_text", "Right", text_encoder=load.text_encoder, text="a penguin in the snow, glossy"
    )
    all_over = sheet.add("encode_text", "Everywhere", text_encoder=load.text_encoder, text="glossy")
    right = sheet.add("invert_mask", mask=left)
    sheet.column(120)
    first = sheet.add("set_conditioning_mask", conditioning=one, mask=left)
    second = sheet.add("set_conditioning_mask", conditioning=two, mask=right)
    weak = sheet.add("set_conditioning_strength", conditioning=all_over, strength=0.3)
    sheet.column(120)
    halves = sheet.add("combine_conditioning", first=first, second=second)
    both = sheet.add("combine_conditioning", first=halves, second=weak)
    negative = sheet.add("encode_text", "Negative prompt", text_encoder=load.text_encoder)
    empty = canvas(sheet)
    sheet.column(60)
    end = sheet.add(
        "k_sampler", model=load.model, positive=both, negative=negative, latent=empty, seed=8, guidance=4.0
    )
    shown(sheet, load, end)


@template("prompts/mixtures", "Mixtures of prompts")
def mixtures(sheet: Sheet) -> None:
    """Averaged, joined, and by range of steps."""
    sheet.note(
        "**Mixtures.** *Average* walks from one prompt to the other; *Range* lets one act early and the other late, "
        "which first settles the composition and then the details."
    )
    load = sheet.add("load_checkpoint")
    sheet.column(120)
    one = sheet.add("encode_text", "One", text_encoder=load.text_encoder, text="a castle at night")
    two = sheet.add(
        "encode_text", "Other", text_encoder=load.text_encoder, text="a mushroom on the beach, glossy"
    )
    negative = sheet.add("encode_text", "Negative prompt", text_encoder=load.text_encoder)
    sheet.column(120)
    mixed = sheet.add("average_conditioning", first=one, second=two, weight=0.5)
    early = sheet.add("set_conditioning_range", conditioning=mixed, end=0.5)
    late = sheet.add("set_conditioning_range", conditioning=two, start=0.5)
    both = sheet.add("combine_conditioning", first=early, second=late)
    empty = canvas(sheet)
    sheet.column(60)
    end = sheet.add(
        "k_sampler", model=load.model, positive=both, negative=negative, latent=empty, seed=8, guidance=4.0
    )
    shown(sheet, load, end)

"""What goes on inside a sampler, laid open."""

from __future__ import annotations

from docs.templates.parts import canvas, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("sampling/two_samplers", "One schedule, two samplers")
def two_samplers(sheet: Sheet) -> None:
    """The first half with one solver, the second with another."""
    sheet.note(
        "**Two samplers.** The first stops at step 10 and leaves its noise in; the second adds none and goes on "
        "from there. Moving the border later computes only the steps between."
    )
    words = told(sheet, "a fox in a meadow, glossy")
    empty = canvas(sheet)
    given = {
        "model": words.load.model,
        "positive": words.positive,
        "negative": words.negative,
        "guidance": 4.0,
    }
    sheet.column(60)
    first = sheet.add(
        "k_sampler_advanced", latent=empty, seed=8, solver="euler", end_step=10, leftover_noise=True, **given
    )
    sheet.column(60)
    second = sheet.add("k_sampler_advanced", latent=first, add_noise=False, seed=8, start_step=10, **given)
    shown(sheet, words.load, second)


@template("sampling/one_of_a_batch", "One picture of a batch, alone")
def one_of_a_batch(sheet: Sheet) -> None:
    """Picture 3 of 4, made again without the others."""
    sheet.note(
        "**One of a batch.** A batch is made once; the second sampler makes its third picture again, alone, from "
        "the same noise."
    )
    words = told(sheet, "a mushroom on the beach, glossy")
    batch = sheet.add("empty_latent", width=128, height=128, batch=4)
    every = sampled(sheet, words, batch)
    third = sheet.add("latent_from_batch", latent=batch, index=2)
    alone = sampled(sheet, words, third)
    sheet.column()
    sheet.add("vae_decode", "All four", vae=words.load.vae, latent=every)
    sheet.add("vae_decode", "The third", vae=words.load.vae, latent=alone)

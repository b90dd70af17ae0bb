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


@template("sampling/in_parts", "A sampler in parts")
def in_parts(sheet: Sheet) -> None:
    """Noise, guider, solver and sigmas as wires."""
    sheet.note(
        "**In parts.** What a K sampler does in one node, laid open: where the noise comes from, what guides, how a "
        "step is taken, and how the noise is spread over the steps. *Keep steps* gives the predicted picture of "
        "every step as a batch."
    )
    words = told(sheet, "a fox in a meadow, glossy")
    noise = sheet.add("random_noise", seed=8)
    empty = canvas(sheet)
    sheet.column(60)
    guider = sheet.add(
        "cfg_guider",
        model=words.load.model,
        positive=words.positive,
        negative=words.negative,
        guidance=4.0,
    )
    levels = sheet.add("schedule_sigmas", model=words.load.model, schedule="karras", steps=12)
    solver = sheet.add("pick_solver", solver="dpmpp_2m_sde")
    sheet.column(60)
    end = sheet.add(
        "sample_custom",
        noise=noise,
        guider=guider,
        solver=solver,
        sigmas=levels,
        latent=empty,
        keep_steps=True,
    )
    sheet.add("plot_sigmas", sigmas=levels)
    sheet.column()
    sheet.add("vae_decode", "The end", vae=words.load.vae, latent=end.latent)
    sheet.add("vae_decode", "What each step predicts", vae=words.load.vae, latent=end.predicted)


@template("sampling/schedules", "Schedules side by side")
def schedules(sheet: Sheet) -> None:
    """How four schedules spread the same noise."""
    sheet.note(
        "**Schedules.** The same twelve steps, spread in four ways. Wire one into *Sample custom* to use it."
    )
    load = sheet.add("load_checkpoint")
    for row in (("karras", "normal"), ("beta", "linear_quadratic")):
        sheet.column()
        made = [sheet.add("schedule_sigmas", name, model=load.model, schedule=name, steps=12) for name in row]
        sheet.column()
        for name, levels in zip(row, made, strict=True):
            sheet.add("plot_sigmas", name, sigmas=levels, logarithmic=True)

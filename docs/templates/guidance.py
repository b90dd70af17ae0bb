"""How strongly, and in which way, a prompt is followed."""

from __future__ import annotations

from docs.templates.parts import canvas, sampled, shown, told
from docs.templates.sheet import Sheet, template


@template("sampling/guidance", "Guidance, refined")
def refined(sheet: Sheet) -> None:
    """Rescaled, perturbed, projected, in an interval."""
    sheet.note(
        "**Guidance.** Each of these changes how the estimates with and without the prompt become one: perturbed "
        "attention steers away from a broken structure, projection and rescaling keep strong guidance from burning "
        "colours, the interval leaves out the first and last steps. Bypass them one by one (D).",
        130,
    )
    load = sheet.add("load_checkpoint")
    sheet.column()
    away = sheet.add("perturbed_attention", model=load.model, scale=1.5)
    projected = sheet.add("adaptive_projected_guidance", model=away)
    rescaled = sheet.add("rescale_guidance", model=projected, rescale=0.5)
    within = sheet.add("guidance_interval", model=rescaled, start=0.05, end=0.9)
    words = told(sheet, "a penguin in the snow, glossy", load=load)
    end = sampled(sheet, words, canvas(sheet), model=within, guidance=8.0)
    shown(sheet, load, end)

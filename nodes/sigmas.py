"""The built-in schedules by name, and nodes that make, cut and show noise levels."""

from __future__ import annotations

from studio.api import Extension

_HERE = "studio.diffusion.schedules"


def _schedule(name: str, doc: str) -> Extension:
    return Extension("schedule", name, f"{_HERE}:{name}", doc)


normal = _schedule("normal", "Even in the model's own time.")
karras = _schedule("karras", "More steps where details form; ρ = 7.")
exponential = _schedule("exponential", "Even in log sigma.")
sgm_uniform = _schedule("sgm_uniform", "Even in time, without the last entry.")
simple = _schedule("simple", "Every n-th entry of the model's table.")
ddim_uniform = _schedule("ddim_uniform", "Table entries at an even stride.")
beta = _schedule("beta", "Quantiles of Beta(0.6, 0.6): dense at both ends.")
kl_optimal = _schedule("kl_optimal", "Even in the angle of sigma.")
linear_quadratic = _schedule("linear_quadratic", "Slow at first, then by squares.")

"""The built-in solvers and schedules by name."""

from __future__ import annotations

from studio.api import Extension

_SOLVERS = "studio.diffusion.solvers"
_SCHEDULES = "studio.diffusion.schedules"

euler = Extension("solver", "euler", f"{_SOLVERS}:euler", "One straight step along the slope; steady.")
euler_ancestral = Extension(
    "solver", "euler_ancestral", f"{_SOLVERS}:euler_ancestral", "Euler that adds new noise at every step."
)
heun = Extension("solver", "heun", f"{_SOLVERS}:heun", "Two model calls a step, averaged; precise, slow.")
dpm_2 = Extension("solver", "dpm_2", f"{_SOLVERS}:dpm_2", "Two model calls a step, the second midway.")
dpm_2_ancestral = Extension(
    "solver", "dpm_2_ancestral", f"{_SOLVERS}:dpm_2_ancestral", "dpm_2 that adds new noise at every step."
)
lms = Extension("solver", "lms", f"{_SOLVERS}:lms", "A polynomial through the last four slopes.")
ddim = Extension("solver", "ddim", f"{_SOLVERS}:ddim", "The classic without noise; equal to euler.")
ddpm = Extension("solver", "ddpm", f"{_SOLVERS}:ddpm", "The original random walk; wants many steps.")
lcm = Extension("solver", "lcm", f"{_SOLVERS}:lcm", "For models distilled to 4–8 steps.")
dpmpp_2m = Extension(
    "solver", "dpmpp_2m", f"{_SOLVERS}:dpmpp_2m", "One call a step, using the one before; the usual choice."
)
dpmpp_2s_ancestral = Extension(
    "solver", "dpmpp_2s_ancestral", f"{_SOLVERS}:dpmpp_2s_ancestral", "Two calls a step, with new noise."
)
res_multistep = Extension(
    "solver", "res_multistep", f"{_SOLVERS}:res_multistep", "A refined exponential step over two calls."
)

normal = Extension("schedule", "normal", f"{_SCHEDULES}:normal", "Even in the model's own time.")
karras = Extension("schedule", "karras", f"{_SCHEDULES}:karras", "More steps where details form; ρ = 7.")
exponential = Extension("schedule", "exponential", f"{_SCHEDULES}:exponential", "Even in log sigma.")
sgm_uniform = Extension(
    "schedule", "sgm_uniform", f"{_SCHEDULES}:sgm_uniform", "Even in time, without the last entry."
)
simple = Extension("schedule", "simple", f"{_SCHEDULES}:simple", "Every n-th entry of the model's table.")
ddim_uniform = Extension(
    "schedule", "ddim_uniform", f"{_SCHEDULES}:ddim_uniform", "Table entries at an even stride."
)
beta = Extension("schedule", "beta", f"{_SCHEDULES}:beta", "Quantiles of Beta(0.6, 0.6): dense at both ends.")
kl_optimal = Extension("schedule", "kl_optimal", f"{_SCHEDULES}:kl_optimal", "Even in the angle of sigma.")
linear_quadratic = Extension(
    "schedule", "linear_quadratic", f"{_SCHEDULES}:linear_quadratic", "Slow at first, then by squares."
)

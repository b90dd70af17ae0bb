"""The built-in solvers by name, and the node that chooses one with its options."""

from __future__ import annotations

from typing import Annotated

from studio.api import Extension, Range, Solver, SolverChoice, node

_HERE = "studio.diffusion.solvers"


def _solver(name: str, doc: str) -> Extension:
    return Extension("solver", name, f"{_HERE}:{name}", doc)


euler = _solver("euler", "One straight step along the slope; steady.")
euler_ancestral = _solver("euler_ancestral", "Euler that adds new noise at every step.")
heun = _solver("heun", "Two model calls a step, averaged; precise, slow.")
heunpp2 = _solver("heunpp2", "Three model calls a step, weighted by noise level; slower still.")
dpm_2 = _solver("dpm_2", "Two model calls a step, the second midway.")
dpm_2_ancestral = _solver("dpm_2_ancestral", "dpm_2 that adds new noise at every step.")
lms = _solver("lms", "A polynomial through the last four slopes.")
dpm_fast = _solver("dpm_fast", "Steps of third order with strides of its own; for 6 to 20 model calls.")
dpm_adaptive = _solver(
    "dpm_adaptive", "As many model calls as it needs, whatever the steps; a batch shares its pace."
)
dpmpp_2s_ancestral = _solver("dpmpp_2s_ancestral", "Two calls a step, with new noise.")
dpmpp_sde = _solver(
    "dpmpp_sde", "Two calls a step, noise from one path: more steps change the picture little."
)
dpmpp_2m = _solver("dpmpp_2m", "One call a step, using the one before; the usual choice.")
dpmpp_2m_sde = _solver("dpmpp_2m_sde", "dpmpp_2m with noise from one path; fine detail.")
dpmpp_2m_sde_heun = _solver("dpmpp_2m_sde_heun", "dpmpp_2m_sde with a finer weight of the call before.")
dpmpp_3m_sde = _solver("dpmpp_3m_sde", "Uses the two calls before; for 30 steps and more.")
ddpm = _solver("ddpm", "The original random walk; wants many steps.")
ddim = _solver("ddim", "The classic without noise; equal to euler.")
lcm = _solver("lcm", "For models distilled to 4–8 steps.")
plms = _solver("plms", "Four slopes at even weights; the first sampler of Stable Diffusion.")
pndm = _solver("pndm", "plms after three Runge–Kutta steps of four calls each.")
ipndm = _solver("ipndm", "Four slopes at even weights; for few steps.")
ipndm_v = _solver("ipndm_v", "ipndm with weights that follow the strides.")
deis = _solver("deis", "Three slopes over the time of the noising; for few steps.")
uni_pc = _solver("uni_pc", "Predicts and mends with one call a step; good at 10 to 20 steps.")
uni_pc_bh2 = _solver("uni_pc_bh2", "uni_pc with the other of its two weights; better guided.")
res_multistep = _solver("res_multistep", "A refined exponential step over two calls.")
res_multistep_ancestral = _solver("res_multistep_ancestral", "res_multistep with new noise at every step.")
gradient_estimation = _solver(
    "gradient_estimation", "Euler whose slope is carried on beyond its last change."
)
er_sde = _solver("er_sde", "Third order with noise scaled by its level; good for flow models.")
seeds_2 = _solver("seeds_2", "Two calls a step of an exponential integrator with noise.")
seeds_3 = _solver("seeds_3", "Three calls a step of an exponential integrator with noise.")
sa_solver = _solver("sa_solver", "Predicts and mends with noise in the middle of the way.")
sa_solver_pece = _solver("sa_solver_pece", "sa_solver that asks the model again where it mended.")
euler_cfg_pp = _solver("euler_cfg_pp", "CFG++ along euler: for guidance of about 1.")
euler_ancestral_cfg_pp = _solver("euler_ancestral_cfg_pp", "CFG++ along euler_ancestral.")
dpmpp_2m_cfg_pp = _solver("dpmpp_2m_cfg_pp", "CFG++ along dpmpp_2m.")
dpmpp_2s_ancestral_cfg_pp = _solver("dpmpp_2s_ancestral_cfg_pp", "CFG++ along dpmpp_2s_ancestral.")
res_multistep_cfg_pp = _solver("res_multistep_cfg_pp", "CFG++ along res_multistep.")
res_multistep_ancestral_cfg_pp = _solver(
    "res_multistep_ancestral_cfg_pp", "CFG++ along res_multistep_ancestral."
)
gradient_estimation_cfg_pp = _solver("gradient_estimation_cfg_pp", "CFG++ along gradient_estimation.")


@node(
    "pick_solver",
    category="Sampling/Custom",
    instant=True,
    synonyms=(
        "KSamplerSelect",
        "SamplerEulerAncestral",
        "SamplerDPMPP_2M_SDE",
        "eta",
        "s_noise",
        "sampler name",
    ),
)
def pick_solver(
    *,
    solver: Solver = "euler",
    eta: Annotated[float, Range(0, 2, step=0.01)] = 1.0,
    s_noise: Annotated[float, Range(0, 2, step=0.01)] = 1.0,
    order: Annotated[int, Range(0, 4)] = 0,
) -> SolverChoice:
    """Choose how steps are taken.

    Args:
        solver: Name of the solver.
        eta: How much noise a solver that draws any puts back at each step; 0 makes it one without noise.
        s_noise: Strength of that noise; a little above 1 brings out detail.
        order: How many steps a multistep solver looks back on; 0 = as many as is usual for it.
    """
    return SolverChoice(solver, {"eta": eta, "s_noise": s_noise, "order": order})

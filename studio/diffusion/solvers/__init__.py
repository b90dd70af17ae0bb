"""Solvers in sigma space: each a short generator, its history in the state it yields.

Notation as in `arithmetic`.
"""

from studio.diffusion.solvers.ancestral import (
    ddpm,
    dpm_2_ancestral,
    dpmpp_2s_ancestral,
    euler_ancestral,
    lcm,
)
from studio.diffusion.solvers.brownian import (
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from studio.diffusion.solvers.exponential import (
    dpmpp_2m,
    res_multistep,
    res_multistep_ancestral,
)
from studio.diffusion.solvers.multistep import (
    deis,
    gradient_estimation,
    ipndm,
    ipndm_v,
    lms,
    plms,
    pndm,
)
from studio.diffusion.solvers.own_steps import (
    dpm_adaptive,
    dpm_fast,
)
from studio.diffusion.solvers.plus_plus import (
    dpmpp_2m_cfg_pp,
    dpmpp_2s_ancestral_cfg_pp,
    euler_ancestral_cfg_pp,
    euler_cfg_pp,
    gradient_estimation_cfg_pp,
    res_multistep_ancestral_cfg_pp,
    res_multistep_cfg_pp,
)
from studio.diffusion.solvers.predictor_corrector import (
    sa_solver,
    sa_solver_pece,
    uni_pc,
    uni_pc_bh2,
)
from studio.diffusion.solvers.slopes import (
    ddim,
    dpm_2,
    euler,
    heun,
    heunpp2,
)
from studio.diffusion.solvers.stochastic import (
    er_sde,
    seeds_2,
    seeds_3,
)

__all__ = [
    "ddim",
    "ddpm",
    "deis",
    "dpm_2",
    "dpm_2_ancestral",
    "dpm_adaptive",
    "dpm_fast",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_3m_sde",
    "dpmpp_sde",
    "er_sde",
    "euler",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "euler_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "heun",
    "heunpp2",
    "ipndm",
    "ipndm_v",
    "lcm",
    "lms",
    "plms",
    "pndm",
    "res_multistep",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "res_multistep_cfg_pp",
    "sa_solver",
    "sa_solver_pece",
    "seeds_2",
    "seeds_3",
    "uni_pc",
    "uni_pc_bh2",
]

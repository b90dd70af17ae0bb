"""Stochastic DPM-Solver++: steps of the reverse equation in λ, their noise from one Brownian path.

Since the path belongs to the seed and not to the steps, more steps lead to nearly the same picture.
Lu et al., "DPM-Solver++" (2022), the stochastic variants of its appendix; two strides of the path's noise
are never the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from studio.diffusion.api import Denoise, Noise, State, solver
from studio.diffusion.schedules import Sigmas
from studio.diffusion.solvers.arithmetic import alpha, below_one, log_snr, phi_2, split


@solver(noise="brownian", inner=True)
def dpmpp_sde(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """Down to a level below the middle of the step, noise, the estimate there, and with it the whole step.

    In z = x / α and ρ = σ / α each stage is z′ = (ρ↓/ρ)·z + (1 − ρ↓/ρ)·D + ρ↑·n with `split` of ρ, the
    middle halfway in λ.
    """
    levels = below_one(sigmas)
    x = state.x

    def stage(denoised: torch.Tensor, start: float, end: float) -> torch.Tensor:
        rho, rho_end = start / alpha(sigmas, start), end / alpha(sigmas, end)
        down, up = split(rho, rho_end, eta)
        kept = down / rho
        there = x * (kept / alpha(sigmas, start)) + denoised * (1 - kept)
        if eta > 0:
            there = there + noise(start, end) * (up * s_noise)
        return there * alpha(sigmas, end)

    for k in range(state.step, len(levels) - 1):
        sigma, target = levels[k], levels[k + 1]
        denoised = denoise(x, sigma)
        if target == 0:
            x = denoised
        else:
            middle = _halfway(sigmas, sigma, target)
            denoised = denoise(stage(denoised, sigma, middle), middle)
            x = stage(denoised, sigma, target)
        yield State(k + 1, x)


def _halfway(sigmas: Sigmas, sigma: float, target: float) -> float:
    """The level halfway in λ, in single precision.

    The path tells times apart that differ by the last bit, and other tools ask it in single precision.
    """
    ends = torch.tensor([sigma, target])
    lams = -torch.logit(ends) if sigmas.flow else -torch.log(ends)
    lam = lams[0] + (lams[1] - lams[0]) * 0.5
    return float(torch.sigmoid(-lam) if sigmas.flow else torch.exp(-lam))


@solver(noise="brownian")
def dpmpp_2m_sde(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`_linear` plus the difference of the last two estimates, as if it lay in the middle of the step.

    x′ += α′·(1 − e^−H)/2·(D − D₋₁)/r with H = (1 + η)·h and r = h₋₁/h.
    """
    yield from _two_estimates(denoise, sigmas, noise, state, eta, s_noise, heun=False)


@solver(noise="brownian")
def dpmpp_2m_sde_heun(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`dpmpp_2m_sde` with the difference integrated exactly: x′ += α′·φ₂(H)·(D − D₋₁)/r, see `phi_2`."""
    yield from _two_estimates(denoise, sigmas, noise, state, eta, s_noise, heun=True)


def _two_estimates(
    denoise: Denoise, sigmas: Sigmas, noise: Noise, state: State, eta: float, s_noise: float, *, heun: bool
) -> Iterator[State]:
    levels = below_one(sigmas)
    x, history = state.x, state.history
    for k in range(state.step, len(levels) - 1):
        sigma, target = levels[k], levels[k + 1]
        denoised = denoise(x, sigma)
        if target == 0:
            x = denoised
        else:
            h = log_snr(sigmas, target) - log_snr(sigmas, sigma)
            stride = (1 + eta) * h
            x = _linear(x, denoised, sigmas, sigma, target, eta)
            if history:
                ratio = (log_snr(sigmas, sigma) - log_snr(sigmas, levels[k - 1])) / h
                weight = phi_2(stride) if heun else -math.expm1(-stride) / 2
                x = x + (denoised - history[0]) * (alpha(sigmas, target) * weight / ratio)
            x = _noised(x, noise, h, sigma, target, eta, s_noise)
        history = (denoised,)
        yield State(k + 1, x, history)


@solver(noise="brownian")
def dpmpp_3m_sde(
    denoise: Denoise,
    sigmas: Sigmas,
    noise: Noise,
    state: State,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[State]:
    """`_linear` plus first and second divided differences of the last three estimates.

    x′ += α′·(φ₂(H)·D⁽¹⁾ − φ₃(H)·D⁽²⁾), φ₃ = φ₂/H − ½: DPM-Solver++ carried to three estimates, after
    Katherine Crowson's k-diffusion (2023).
    """
    levels = below_one(sigmas)
    x, history = state.x, state.history
    for k in range(state.step, len(levels) - 1):
        sigma, target = levels[k], levels[k + 1]
        denoised = denoise(x, sigma)
        if target == 0:
            x = denoised
        else:
            lams = [log_snr(sigmas, levels[k - back]) for back in range(len(history) + 1)]
            h = log_snr(sigmas, target) - lams[0]
            stride = (1 + eta) * h
            x = _linear(x, denoised, sigmas, sigma, target, eta)
            first = second = None
            if history:
                ratio = (lams[0] - lams[1]) / h
                first = (denoised - history[0]) / ratio
                if len(history) > 1:
                    older = (lams[1] - lams[2]) / h
                    bend = first - (history[0] - history[1]) / older
                    first, second = first + bend * (ratio / (ratio + older)), bend / (ratio + older)
                x = x + first * (alpha(sigmas, target) * phi_2(stride))
            if second is not None:
                x = x - second * (alpha(sigmas, target) * (phi_2(stride) / stride - 0.5))
            x = _noised(x, noise, h, sigma, target, eta, s_noise)
        history = (denoised, *history)[:2]
        yield State(k + 1, x, history)


def _linear(
    x: torch.Tensor, denoised: torch.Tensor, sigmas: Sigmas, sigma: float, target: float, eta: float
) -> torch.Tensor:
    """x′ = (σ′/σ)·e^−ηh·x + α′·(1 − e^−(1+η)h)·D: exact where the estimate stays what it is."""
    h = log_snr(sigmas, target) - log_snr(sigmas, sigma)
    gain = -math.expm1(-(1 + eta) * h)
    return x * (target / sigma * math.exp(-eta * h)) + denoised * (alpha(sigmas, target) * gain)


def _noised(
    x: torch.Tensor, noise: Noise, h: float, sigma: float, target: float, eta: float, s_noise: float
) -> torch.Tensor:
    """x′ += σ′·√(1 − e^−2ηh)·n."""
    if eta == 0:
        return x
    return x + noise(sigma, target) * (target * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise)

"""Solvers and schedules beside reference values: where trajectories end on data whose denoiser is known.

The file is of safetensors: ``sigmas/KIND/SCHEDULE`` and ``final/KIND/SOLVER/SCHEDULE``, KIND ``eps`` or
``flow``. Of its metadata ``mu`` and ``s`` describe the data (½N(μ, s²) + ½N(−μ, s²)), ``seed`` the noise,
``steps`` the schedules, ``shift`` the flow's time; ``nfe/KIND/SOLVER/SCHEDULE`` counts calls of the model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from benchmarks.measure import Row, exact
from studio.diffusion.api import Solver, State
from studio.diffusion.noise import Brownian, Gaussian, initial
from studio.diffusion.schedules import Sampling, Sigmas, denoised_part, flow, scaled_linear
from studio.registry import Registry, discover

REFERENCE = Path(__file__).parent.parent / "tests/data/solvers_reference.safetensors"
AIM, AIM_OF_PATHS = 1e-4, 1e-3
"""Largest error in standard deviations of the reference; that of solvers with Brownian noise."""
MOST_STEPS = 10_000


def run(full: bool, reference: Path | None = None) -> list[Row]:
    """One row an entry: the largest error in standard deviations of the reference; then the worst."""
    del full
    path = reference or REFERENCE
    file, registry = read(path), discover()
    rows = [row for name in sorted(file.values) for row in compared(file, registry, name)]
    if not rows:
        raise SystemExit(f"{path} holds no entry “sigmas/…” or “final/…”.")
    return [*rows, worst(rows)]


@dataclass(frozen=True)
class File:
    """What a file of reference values holds.

    Attributes:
        values: Its tensors, float32.
        calls: Name of an entry of ``final/…`` → calls of the model.
        mu: Of the data.
        s: Of the data.
        seed: Of the noise.
        steps: Of the schedules; None where the file does not say.
        shift: Of the flow's time; None where the file does not say.
    """

    values: Mapping[str, torch.Tensor]
    calls: Mapping[str, int]
    mu: float = 1.2
    s: float = 0.35
    seed: int = 7
    steps: int | None = None
    shift: float | None = None

    def sampling(self, kind: str) -> Sampling:
        """What the denoiser of a kind was trained on."""
        if kind == "eps":
            return Sampling(scaled_linear(0.00085, 0.012, 1000), "epsilon")
        shift = self.shift or self._shift_seen() or 3.0
        return Sampling(flow(shift), "flow", shift)

    def _shift_seen(self) -> float | None:
        """The shift that its schedule “simple” was made with, if it has one."""
        found = self.values.get("sigmas/flow/simple")
        if found is None or found.ndim != 1 or len(found) < 3 or not 0 < float(found[1]) < 1:
            return None
        sigma, time = float(found[1]), 1 - int(1000 / (len(found) - 1)) / 1000
        return round(sigma * (1 - time) / (time * (1 - sigma)), 3) if time > 0 else None

    def denoise(self, x: torch.Tensor, sigma: float, kind: str) -> torch.Tensor:
        """The exact denoiser of the data."""
        level = torch.tensor(sigma)  # in single precision, as a network would be given it
        a = 1 - level if kind == "flow" else torch.tensor(1.0)
        v = a**2 * self.s**2 + level**2
        return (a * self.s**2 * x + level**2 * self.mu * torch.tanh(a * self.mu * x / v)) / v


def read(path: Path) -> File:
    """Read a file; one that is something else ends the program with a sentence."""
    try:
        with safe_open(path, "pt") as file:
            told: dict[str, str] = file.metadata() or {}
            values = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise SystemExit(f"There is no file {path}.") from None
    except (OSError, SafetensorError) as problem:
        raise SystemExit(f"{path} cannot be read as safetensors ({problem}).") from None
    calls: dict[str, int] = {}
    facts: dict[str, Any] = {}
    for name, value in told.items():
        try:
            if name.startswith("nfe/"):
                calls["final/" + name.removeprefix("nfe/")] = int(value)
            elif name in ("seed", "steps"):
                facts[name] = int(value)
            elif name in ("mu", "s", "shift"):
                facts[name] = float(value)
        except ValueError:
            raise SystemExit(f"{path}: “{name}” of its metadata is no number but “{value:.40}”.") from None
    wrong = [name for name in ("mu", "s", "shift") if not math.isfinite(facts.get(name, 1.0))]
    wrong += [name for name, least in (("steps", 1), ("shift", 1e-3), ("s", 0)) if facts.get(name, 1) < least]
    if wrong or facts.get("steps", 1) > MOST_STEPS:
        raise SystemExit(f"{path}: “{(wrong or ['steps'])[0]}” of its metadata is out of range.")
    return File(values, calls, **facts)


class EntryError(Exception):
    """Why an entry cannot be compared: a sentence without its full stop."""


def compared(file: File, registry: Registry, name: str) -> list[Row]:
    """Compare one entry; one that cannot be says why, and is not met. Other tensors are no entries."""
    part, *rest = name.split("/")
    if part not in ("sigmas", "final"):
        return []
    try:
        if len(rest) != (2 if part == "sigmas" else 3) or rest[0] not in ("eps", "flow"):
            raise EntryError("it is named neither sigmas/KIND/SCHEDULE nor final/KIND/SOLVER/SCHEDULE")
        return (
            [schedule_row(file, registry, *rest)] if part == "sigmas" else solver_rows(file, registry, *rest)
        )
    except EntryError as problem:
        return [Row("solvers", f"{name}: {problem}", None, "std", aim=f"ours <= {AIM:.4f}")]


def schedule_row(file: File, registry: Registry, kind: str, schedule: str) -> Row:
    """A schedule beside its entry; one that is not ours is taken as it is."""
    name = f"sigmas/{kind}/{schedule}"
    wanted = file.values[name]
    if ("schedule", schedule) not in registry.extensions:
        return Row("solvers", f"{name}: taken as given", exact(0), "std")
    made = registry.extensions["schedule", schedule].load()
    ours = made(file.sampling(kind), file.steps or max(1, wanted.numel() - 1))
    return Row("solvers", name, exact(error(torch.tensor(ours), wanted)), "std", aim=f"ours <= {AIM:.4f}")


def solver_rows(file: File, registry: Registry, kind: str, name: str, schedule: str) -> list[Row]:
    """A solver beside its entry, and its calls of the model where they are not as many."""
    if ("solver", name) not in registry.extensions:
        raise EntryError(f"there is no solver “{name}”")
    solver: Solver = registry.extensions["solver", name].load()
    entry = f"final/{kind}/{name}/{schedule}"
    wanted = file.values[entry]
    sigmas = levels(file, registry, kind, schedule, drop_last=solver.drop_last)
    x, calls = ended(file, solver, sigmas, kind, tuple(wanted.shape))
    aim = AIM_OF_PATHS if solver.noise == "brownian" else AIM
    rows = [Row("solvers", entry, exact(error(x, wanted)), "std", aim=f"ours <= {aim:.4f}")]
    expected = file.calls.get(entry, calls)
    if calls != expected:
        what = f"nfe/{kind}/{name}/{schedule}"
        sign = "<=" if calls > expected else ">="
        rows.append(Row("solvers", what, exact(calls), "calls", aim=f"ours {sign} {expected}"))
    return rows


def levels(file: File, registry: Registry, kind: str, schedule: str, *, drop_last: bool) -> Sigmas:
    """The file's sigmas; where a solver wants one step more, our schedule's without the last above zero."""
    given = file.values.get(f"sigmas/{kind}/{schedule}")
    sampling = file.sampling(kind)
    if given is not None and not drop_last:
        sigmas = Sigmas(given.flatten().tolist(), flow=kind == "flow", sampling=sampling)
    else:
        if ("schedule", schedule) not in registry.extensions:
            lacking = "to take one step more of" if given is not None else "and the file does not hold it"
            raise EntryError(f"there is no schedule “{schedule}” {lacking}")
        steps = file.steps or (given.numel() - 1 if given is not None else 0)
        if steps < 1:
            raise EntryError("the file says neither its sigmas nor how many steps it has")
        made = registry.extensions["schedule", schedule].load()
        sigmas = denoised_part(made, sampling, steps, 1.0, drop_last=drop_last)
    falling = all(above > below for above, below in itertools.pairwise(sigmas))
    if len(sigmas) < 2 or not falling or sigmas[-1] < 0 or not math.isfinite(sigmas[0]):
        raise EntryError("its sigmas do not fall towards zero")
    if kind == "flow" and sigmas[0] > 1:
        raise EntryError("its sigmas are those of no flow")
    return sigmas


def ended(
    file: File, solver: Solver, sigmas: Sigmas, kind: str, shape: tuple[int, ...]
) -> tuple[torch.Tensor, int]:
    """The end of a trajectory, and how often the model was called."""
    calls = 0

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return file.denoise(x, sigma, kind)

    x = initial(shape, file.seed) * (sigmas[0] if sigmas.flow else math.sqrt(1 + sigmas[0] ** 2))
    path = solver.noise == "brownian"
    noise = Brownian(x, file.seed, sigmas) if path else Gaussian(x, file.seed)
    try:
        *_, last = solver(denoise, sigmas, noise, State(0, x))
    except (ArithmeticError, ValueError) as problem:
        raise EntryError(f"the solver fails on its sigmas ({problem})") from None
    return last.x, calls


def error(ours: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, in standard deviations of what is wanted."""
    if ours.shape != wanted.shape:
        raise EntryError(f"its shape is {list(wanted.shape)}, ours {list(ours.shape)}")
    if wanted.numel() == 0:
        raise EntryError("it is empty")
    if not bool(torch.isfinite(wanted).all()):
        raise EntryError("it holds what is no number")
    if not bool(torch.isfinite(ours).all()):
        raise EntryError("ours holds what is no number")
    scale = float(wanted.std()) if wanted.numel() > 1 else 0.0
    return float((ours - wanted).abs().max()) / (scale or 1.0)


def worst(rows: list[Row]) -> Row:
    """The row that is nearest to its aim, or farthest beyond it."""

    def part(row: Row) -> float:
        return row.ours.median / float(row.aim.split()[-1]) if row.ours and row.aim else -1.0

    missed = [row for row in rows if row.ours is None]
    found = missed[0] if missed else max((row for row in rows if row.unit == "std"), key=part)
    return Row("solvers", f"the worst: {found.what}", found.ours, found.unit, aim=found.aim)

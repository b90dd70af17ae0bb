"""A family of networks of a few weights, patches for them, and runs to use them in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from studio.context import Context, RunFacts
from studio.declare import Extension
from studio.diffusion.api import Loader
from studio.diffusion.device import Place
from studio.diffusion.files.loading import fill, nbytes
from studio.diffusion.lora.changes import Added, Change, Full
from studio.diffusion.weights import WeightsStore
from studio.errors import NodeError
from studio.models.identity import combined
from studio.types import Patch, Recipe

SIDE = 16
NBYTES = 4 * (SIDE * SIDE + SIDE)


class Toy:
    """One linear layer; see `studio.diffusion.api.Network`."""

    def __init__(self, name: str, path: Path, loader: Loader) -> None:
        with torch.device("meta"):
            module = nn.Sequential(nn.Linear(SIDE, SIDE))
        self.source: Mapping[str, Mapping[str, torch.Tensor]] = {
            name: fill(module, [path], loader.place, loader.check)
        }
        self.modules: Mapping[str, nn.Module] = {name: module}
        self.nbytes = nbytes(module)
        self.check: Callable[[], None] = lambda: None
        self.scale = 1.0
        self.forgot = 0

    def void(self) -> None:
        self.forgot += 1

    @property
    def weight(self) -> torch.Tensor:
        [module] = self.modules.values()
        return module[0].weight  # pyright: ignore[reportIndexIssue, reportReturnType]


class Composite:
    """Toys that are held for themselves."""

    nbytes = 0

    def __init__(self, members: Mapping[str, Toy]) -> None:
        self.members = members
        self.modules = {name: module for toy in members.values() for name, module in toy.modules.items()}
        self.source = {name: source for toy in members.values() for name, source in toy.source.items()}
        self.check: Callable[[], None] = lambda: None


class ToyFamily:
    loads = 0

    def recognise(self, path: Path) -> Mapping[str, tuple[str, ...]] | None:
        return dict.fromkeys("abc", (".",)) if path.suffix == ".safetensors" else None

    def load(self, recipe: Recipe, loader: Loader) -> Any:
        self.loads += 1
        if recipe.members:
            return Composite({member.part: loader.get(member) for member in recipe.members})
        return Toy(recipe.part, Path(recipe.path), loader)


FAMILY = ToyFamily()


class Shift:
    """Adds a number to all weights of the networks it names."""

    kind = "weights"
    asked = 0

    def changes(
        self, patch: Patch, modules: Mapping[str, nn.Module], check: Callable[[], None]
    ) -> dict[str, Change]:
        self.asked += 1
        by = float(patch.params["by"])  # pyright: ignore[reportArgumentType]
        if by > 1000:
            raise NodeError("Too far.")
        return {f"{name}.0.weight": Added(Full(torch.full((SIDE, SIDE), by))) for name in modules}


class Scale:
    """A patch of the run."""

    kind = "run"

    def apply(self, network: Any, patch: Patch) -> Callable[[], None]:
        before = network.scale
        network.scale = before * patch.params["by"] + 1

        def undo() -> None:
            network.scale = before

        return undo


class Guidance:
    """A patch that is none of the store's business."""


SHIFT, SCALE, GUIDANCE = Shift(), Scale(), Guidance()
_HERE = "tests.studio.diffusion.toy_networks"
EXTENSIONS = {
    ("family", "toy"): Extension("family", "toy", f"{_HERE}:FAMILY", "Toy."),
    ("patch", "shift"): Extension("patch", "shift", f"{_HERE}:SHIFT", "Toy."),
    ("patch", "scale"): Extension("patch", "scale", f"{_HERE}:SCALE", "Toy."),
    ("patch", "guidance"): Extension("patch", "guidance", f"{_HERE}:GUIDANCE", "Toy."),
}


def context(cancelled: threading.Event | None = None) -> Context:
    return Context(
        node="it",
        facts=RunFacts("run", datetime(2026, 1, 2), Path()),
        cancelled=cancelled or threading.Event(),
        report=lambda done, total, picture: None,
        saved=lambda path: None,
        extensions=EXTENSIONS,
    )


def store(toys: float = 100, ram: float = 100, dtype: str = "float32") -> WeightsStore:
    """A store with room for so many toys on the device, and beside it."""
    made = WeightsStore("cpu", budget_bytes=int(toys * NBYTES), ram_bytes=int(ram * NBYTES))
    made.place = Place("cpu", dtype, "test", "For tests.")
    return made


def recipe(folder: Path, part: str = "a", *patches: Patch) -> Recipe:
    path = folder / f"{part}.safetensors"
    if not path.exists():
        torch.manual_seed(ord(part))
        save_file({"0.weight": torch.randn(SIDE, SIDE), "0.bias": torch.randn(SIDE)}, path)
    return Recipe(str(path), combined(path, (".",)), part, "toy", patches)


def composite(folder: Path, parts: str, *patches: Patch) -> Recipe:
    return Recipe("", "", "both", "toy", patches, tuple(recipe(folder, part) for part in parts))


def shift(by: float, strength: float = 1.0, span: tuple[float, float] = (0.0, 1.0)) -> Patch:
    return Patch("shift", params={"by": by, "strength": strength}, span=span)


def moved(given: Recipe, path: Path) -> Recipe:
    return replace(given, path=str(path))

"""The patch “lora”: a file of adapters as changes to the weights of the networks it names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from torch import nn

from studio.diffusion.lora.building import MisfitError, bias_change, weight_change
from studio.diffusion.lora.changes import Change
from studio.diffusion.lora.names import PREFIXES, Target, find, targets_of
from studio.diffusion.lora.reading import Adapters, read
from studio.errors import NodeError
from studio.models.identity import identity_of

if TYPE_CHECKING:
    from studio.types import Patch

_TEXT = (
    *(prefix for network in ("clip_l", "clip_h", "clip_g", "t5") for prefix in PREFIXES[network]),
    "text_model_",
    "base_model_model_text_model_",
)
_log = logging.getLogger(__name__)


class Lora:
    """The patch as registered; see `studio.diffusion.weights.WeightsPatch`.

    Attributes:
        kind: It changes weights.
    """

    kind: Literal["weights"] = "weights"

    def changes(
        self, patch: Patch, modules: Mapping[str, nn.Module], check: Callable[[], None]
    ) -> dict[str, Change]:
        """Changes by name of the weight, ``network.layer.weight``.

        Layers that fit nothing here are left out and told in the log.

        Raises:
            NodeError: The file has gone or changed, or nothing in it fits.
            FileError: It is cut short or holds no LoRA.
        """
        path = Path(patch.path)
        if not path.is_file() or identity_of(path) != patch.identity:
            raise NodeError(
                f"The LoRA at {path} has gone, or is another than when this run began.",
                "Run again, or choose where it is now.",
            )
        adapters = read(path, check)
        found: dict[str, Change] = {}
        wrong: dict[str, str] = {}
        is_text = any(name in ("clip_l", "clip_h", "clip_g", "t5") for name in modules)
        rest = {layer for layer in adapters.layers if _of_text(layer) == is_text}
        first = next(iter(modules), "")
        for name, module in modules.items():
            layers = _layers(module)
            targets = targets_of({layer: shape for layer, (shape, _) in layers.items()})
            bare = not is_text or name == first
            for layer in adapters.layers:
                for target in find(layer, name, targets, bare=bare):
                    rest.discard(layer)
                    try:
                        found |= _changes(f"{name}.{target.layer}", adapters, layer, target, layers)
                    except (MisfitError, RuntimeError, IndexError) as error:
                        wrong[layer] = str(error)
        _tell(adapters, found, wrong, rest)
        return found


LORA = Lora()


def _changes(
    name: str,
    adapters: Adapters,
    layer: str,
    target: Target,
    layers: Mapping[str, tuple[tuple[int, ...], int | None]],
) -> dict[str, Change]:
    import torch

    shape, bias = layers[target.layer]
    parts = adapters.layers[layer]
    weight = weight_change(parts, torch.Size(shape), target.rows)
    made = {f"{name}.weight": weight} if weight is not None else {}
    shift = bias_change(parts, bias, target.rows) if bias is not None else None
    return made if shift is None else {**made, f"{name}.bias": shift}


def _layers(module: nn.Module) -> dict[str, tuple[tuple[int, ...], int | None]]:
    """Layer → shape of its weight, and length of its bias."""
    found: dict[str, tuple[tuple[int, ...], int | None]] = {}
    every: list[tuple[str, nn.Module]] = list(cast("Any", module).named_modules())
    for name, layer in every:
        own = dict(layer.named_parameters(recurse=False))
        if "weight" in own and name:
            bias = own.get("bias")
            # Packed numbers have another shape than the weight they stand for.
            shape = getattr(own["weight"], "quant_shape", own["weight"].shape)
            found[name] = (tuple(shape), None if bias is None else len(bias))
    return found


def _of_text(layer: str) -> bool:
    return layer.replace(".", "_").startswith(_TEXT)


def _tell(adapters: Adapters, found: Mapping[str, Change], wrong: Mapping[str, str], rest: set[str]) -> None:
    """Say what was left out, or that nothing fits.

    Raises:
        NodeError: Nothing fits though something was meant to.
    """
    if not found and (wrong or rest):
        first = next(iter(wrong), next(iter(sorted(rest)), ""))
        why = f": {wrong[first]}" if first in wrong else " is no layer of it"
        raise NodeError(
            f"Nothing in {adapters.file} fits this model; {first}{why}.",
            "Choose a LoRA that was made for this kind of model.",
        )
    left = len(rest) + len(wrong) + len(adapters.unknown)
    if left:
        first = next(iter(wrong), next(iter(sorted(rest)), next(iter(adapters.unknown), "")))
        _log.info(
            "%s: %d weights are changed; %d of its names fit nothing here and are left out, %s first",
            adapters.file,
            len(found),
            left,
            first,
        )

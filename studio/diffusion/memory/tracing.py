"""How much memory a call would take, found by carrying it out on tensors without numbers."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_TOKENS = {"flux": 512, "sd3": 333}
_CLIP_TOKENS = 77


def working_bytes(module: torch.nn.Module, shape: tuple[int, ...], *, slices: int = 0) -> int:
    """Most memory that one call of a network takes beside its weights; 0 for kinds that are not known.

    Args:
        module: A denoiser or image autoencoder of diffusers; only its configuration and dtype matter.
        shape: Of the latent, rows for all conditionings together: ``[rows, C, H, W]``.
        slices: Into how many slices attention is cut where its matrix is held whole; 0 where it is not held.
    """
    kind = type(module).__name__
    config: Any = getattr(module, "config", None)
    if kind not in _CALLS or config is None:
        return 0
    dtype = next(module.parameters()).dtype
    if not dtype.is_floating_point or dtype.itemsize == 1:
        dtype = torch.bfloat16
    items = tuple(sorted((name, repr(value)) for name, value in dict(config).items()))
    return _traced(kind, items, _Once(module), shape, dtype, slices)


class _Once:
    """A module beside the configuration that names it; no part of what is remembered."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.cls: Any = type(module)
        self.config: dict[str, Any] = dict(cast("Any", module).config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=64)
def _traced(
    kind: str,
    items: tuple[tuple[str, str], ...],
    like: _Once,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    slices: int,
) -> int:
    with torch.device("meta"), torch.inference_mode(mode=False), torch.no_grad():
        twin = like.cls.from_config(like.config)
        # The library's own way to change the format warns of what does not matter without numbers.
        torch.nn.Module.to(twin, dtype=dtype)
        call = _CALLS[kind]
        named = call(twin.config, shape, dtype)
        method = twin.decode if kind.startswith("Autoencoder") else twin.forward
        return peak_bytes(lambda: method(**named), slices)


def peak_bytes(call: Callable[[], object], slices: int = 0) -> int:
    """Most bytes of new tensors that live at once while something is called.

    Args:
        call: Works on tensors of the device “meta”.
        slices: As of `working_bytes`.
    """
    live = _Live()
    with live, _Fused(live, slices):
        call()
    return live.peak


class _Live(TorchDispatchMode):
    """Follows every storage from the operation that makes it until nobody holds it."""

    def __init__(self) -> None:
        cast("Any", super()).__init__()
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = {id(item.untyped_storage()) for item in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for item in _tensors(out):
            storage = item.untyped_storage()
            if id(storage) not in self._seen and id(storage) not in known:
                self._follow(storage)
        return out

    def beside(self, nbytes: int) -> None:
        """Take note of memory that an operation takes while it runs."""
        self.peak = max(self.peak, self.now + nbytes)

    def _follow(self, storage: Any) -> None:
        name, size = id(storage), storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)

        def gone(_: object) -> None:
            self.now -= size
            self._seen.pop(name, None)

        self._seen[name] = weakref.ref(storage, gone)


class _Fused(TorchFunctionMode):
    """Attention as one operation that holds no matrix, or a slice of it at a time."""

    def __init__(self, live: _Live, slices: int) -> None:
        super().__init__()
        self._live, self._slices = live, slices

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        named = {**dict(zip(("query", "key", "value"), args, strict=False)), **(kwargs or {})}
        query, key, value = named["query"], named["key"], named["value"]
        if self._slices:
            matrix = math.prod(query.shape[:-1]) * key.shape[-2] * query.dtype.itemsize
            self._live.beside(2 * matrix // self._slices)
        return query.new_empty((*query.shape[:-1], value.shape[-1]))


def _tensors(values: object) -> list[torch.Tensor]:
    from torch.utils._pytree import tree_leaves

    return [item for item in tree_leaves(values) if isinstance(item, torch.Tensor)]


def _unet(config: Any, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
    rows = shape[0]
    width = config.cross_attention_dim
    named: dict[str, Any] = {
        "sample": torch.empty(rows, config.in_channels, *shape[2:], dtype=dtype),
        "timestep": torch.empty((), dtype=torch.int64),
        "encoder_hidden_states": torch.empty(
            rows, _CLIP_TOKENS, width if isinstance(width, int) else width[0], dtype=dtype
        ),
    }
    if config.addition_embed_type == "text_time":
        ids = 5 if config.projection_class_embeddings_input_dim == 2560 else 6
        pooled = config.projection_class_embeddings_input_dim - ids * config.addition_time_embed_dim
        named["added_cond_kwargs"] = {
            "text_embeds": torch.empty(rows, pooled, dtype=dtype),
            "time_ids": torch.empty(rows, ids, dtype=dtype),
        }
    if config.class_embed_type == "projection":
        named["class_labels"] = torch.empty(rows, config.projection_class_embeddings_input_dim, dtype=dtype)
    elif config.num_class_embeds:
        named["class_labels"] = torch.empty(rows, dtype=torch.int64)
    return named


def _flux(config: Any, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
    rows, pixels = shape[0], shape[2] * shape[3] // 4
    tokens = _TOKENS["flux"]
    named: dict[str, Any] = {
        "hidden_states": torch.empty(rows, pixels, config.in_channels, dtype=dtype),
        "encoder_hidden_states": torch.empty(rows, tokens, config.joint_attention_dim, dtype=dtype),
        "pooled_projections": torch.empty(rows, config.pooled_projection_dim, dtype=dtype),
        "timestep": torch.empty(rows, dtype=dtype),
        "img_ids": torch.empty(pixels, 3, dtype=dtype),
        "txt_ids": torch.empty(tokens, 3, dtype=dtype),
    }
    return {**named, "guidance": torch.empty(rows)} if config.guidance_embeds else named


def _sd3(config: Any, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
    rows = shape[0]
    return {
        "hidden_states": torch.empty(rows, config.in_channels, *shape[2:], dtype=dtype),
        "encoder_hidden_states": torch.empty(rows, _TOKENS["sd3"], config.joint_attention_dim, dtype=dtype),
        "pooled_projections": torch.empty(rows, config.pooled_projection_dim, dtype=dtype),
        "timestep": torch.empty(rows, dtype=dtype),
    }


def _vae(config: Any, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
    return {"z": torch.empty(shape[0], config.latent_channels, *shape[2:], dtype=dtype)}


_CALLS: Mapping[str, Callable[[Any, tuple[int, ...], torch.dtype], dict[str, Any]]] = {
    "UNet2DConditionModel": _unet,
    "FluxTransformer2DModel": _flux,
    "SD3Transformer2DModel": _sd3,
    "AutoencoderKL": _vae,
}

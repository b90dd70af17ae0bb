"""Tensors and bytes: what `studio.cache.codec`, which knows no torch, needs to store and digest them."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray

from studio.cache import codec
from studio.cache.codec import Raw

TAG = "tensor"


def register() -> None:
    """Let the cache store tensors; called once by whoever imports torch in this process."""
    codec.register(TAG, torch.Tensor, to_raw, from_raw)


def to_raw(tensor: torch.Tensor) -> Raw:
    """Return the bytes of a tensor, sharing its memory where it is contiguous and on the CPU.

    Raises:
        TypeError: It is sparse, quantised or holds no data.
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_meta or dtype not in codec.DTYPE_BYTES:
        raise TypeError(
            f"A tensor of dtype {dtype}, layout {tensor.layout} on {tensor.device} "
            "cannot be stored in the cache."
        )
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    flat = plain.reshape(-1).view(torch.uint8).numpy()
    return Raw(TAG, dtype, tuple(plain.shape), flat.data)


def from_raw(raw: Raw) -> torch.Tensor:
    """Return the tensor of some bytes, sharing their memory unless it is read-only.

    Raises:
        ValueError: This torch has no such dtype.
    """
    dtype = getattr(torch, raw.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"torch has no dtype {raw.dtype}")
    data = memoryview(raw.data)
    if not data:
        return torch.empty(raw.shape, dtype=dtype)
    # torch warns of read-only memory each time it meets some.
    data = memoryview(bytearray(data)) if data.readonly else data
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(raw.shape)


def borrow(array: NDArray[np.generic]) -> torch.Tensor:
    """Return a tensor that shares the memory of an array from a wire, read-only or not.

    `torch.from_numpy` warns of read-only arrays, which arrays from the cache are. Whoever borrows reads.
    """
    source = np.ascontiguousarray(array)
    dtype = getattr(torch, source.dtype.name)
    if not source.size:
        return torch.empty(array.shape, dtype=dtype)
    memory = (ctypes.c_uint8 * source.nbytes).from_address(source.ctypes.data)
    setattr(memory, "owner", source)  # noqa: B010 - keeps the array alive as long as the tensor
    return torch.frombuffer(memory, dtype=torch.uint8).view(dtype).reshape(array.shape)

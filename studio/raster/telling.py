"""What a wire carries, in words."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

_MOST = 24


def told(value: object, depth: int = 0) -> str:
    """Describe a value in lines of text: itself where it is a text or a number, else size and range."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return _array(cast("NDArray[Any]", value))
    if hasattr(value, "shape") and hasattr(value, "numpy"):
        return _array(cast("Any", value).detach().float().numpy())
    if isinstance(value, list | tuple):
        items = list(cast("list[object]", value))
        lines = [f"{index}: {told(item, depth + 1)}" for index, item in enumerate(items[:_MOST])]
        return "\n".join([*lines, f"… {len(items)} in all"] if len(items) > _MOST else lines)
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value, depth)
    return repr(value)


def _record(value: Any, depth: int) -> str:
    """A wire value's own fields, indented; empty ones are left out."""
    lines = [type(value).__name__]
    for field in fields(value):
        inner = getattr(value, field.name)
        if inner is not None and inner != () and inner != {} and field.name != "path":
            lines.append(f"{'    ' * (depth + 1)}{field.name}: {told(inner, depth + 1)}")
    return "\n".join(lines)


def _array(values: NDArray[Any]) -> str:
    sides = "×".join(str(side) for side in values.shape)
    if not values.size:
        return f"{sides}, empty"
    return f"{sides}, {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g} ± {values.std():.4g}"

"""JSON as people read it: what is small stands on one line, so that a diff shows what a person did."""

from __future__ import annotations

import json
import math

from studio.types import Json

_WIDTH = 110


def dumps(value: Json) -> bytes:
    """Return `value` as UTF-8 JSON with a newline at the end; the same value gives the same bytes."""
    # Half a character (from a broken clipboard, say) stays an escape, which is valid JSON.
    return (_block(value, 0) + "\n").encode("utf-8", "backslashreplace")


def _block(value: Json, indent: int) -> str:
    if not isinstance(value, list | dict) or not value:
        return _line(value)
    if not _holds_containers(value):
        line = _line(value)
        if len(line) + indent <= _WIDTH:
            return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{pad}{_line(name)}: {_block(item, indent + 2)}" for name, item in value.items()]
        opening, closing = "{}"
    else:
        rows = [pad + _block(item, indent + 2) for item in value]
        opening, closing = "[]"
    inner = ",\n".join(rows)
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"


def _holds_containers(value: list[Json] | dict[str, Json]) -> bool:
    """True if something in it is worth a line of its own; lists of numbers (a position) are not."""
    items = value if isinstance(value, list) else value.values()
    return any(
        isinstance(item, dict) or (isinstance(item, list) and any(isinstance(x, list | dict) for x in item))
        for item in items
    )


def _line(value: Json) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'"{value}"'  # JSON has no such number; the reader gives it back as text
    if isinstance(value, list):
        return f"[{', '.join(_line(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_line(name)}: {_line(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)

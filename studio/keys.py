"""Keys: digests of everything a result depends on, and of nothing else.

``key = blake2b(type, version, knobs, {input: (source key, output)}, digests of files, numerics)``. Values are
written type-tagged and length-prefixed, so that 1, 1.0, True and "1" differ and no two inputs run together.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import cast

from studio.graph import Node
from studio.spec import NodeSpec, coerce
from studio.types import Json

KEY_BYTES = 20
FORMAT = b"1"
"""Raised when the meaning of keys changes, which makes every stored result a miss."""


def canonical(value: object) -> bytes:
    """Bytes that two JSON values share only if they are the same value of the same type.

    Raises:
        TypeError: `value` is no JSON value.
    """
    if value is None:
        return b"N"
    if value is True:
        return b"T"
    if value is False:
        return b"F"
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(data), data)
    if isinstance(value, int):
        data = b"%x" % value  # Python refuses to write very long ones in decimal
        return b"i%d:%b" % (len(data), data)
    if isinstance(value, float):
        return b"f" + (struct.pack("<d", value) if value == value else b"nan")
    if isinstance(value, list | tuple):
        items = [canonical(item) for item in cast("list[object]", value)]
        return b"l%d:%b" % (len(items), b"".join(items))
    if isinstance(value, Mapping):
        pairs = sorted(cast("Mapping[str, object]", value).items())
        return b"d%d:%b" % (len(pairs), b"".join(canonical(key) + canonical(item) for key, item in pairs))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def digest(*parts: bytes) -> str:
    """Hex digest of length-prefixed parts."""
    whole = b"".join([b"%d:%b" % (len(part), part) for part in parts])
    return hashlib.blake2b(FORMAT + whole, digest_size=KEY_BYTES).hexdigest()


def knob_values(
    node: Node, spec: NodeSpec, choices: Mapping[str, tuple[str, ...]], wired: Mapping[str, Json]
) -> dict[str, Json]:
    """Every knob of the node as its function will get it, wired values in place of its own.

    Raises:
        KnobError: A value does not fit.
    """
    values: dict[str, Json] = {}
    for knob in spec.knobs:
        if knob.name in wired:
            values[knob.name] = coerce(knob, wired[knob.name], choices)
        else:
            values[knob.name] = coerce(knob, node.params.get(knob.name, knob.default), choices)
    return values


def own_part(spec: NodeSpec, values: Mapping[str, Json]) -> bytes:
    """The node's own share of its key: type, version and knobs."""
    return canonical([spec.type, spec.version, values])


def call_key(
    own: bytes,
    inputs: Mapping[str, str | tuple[str, ...]],
    files: Mapping[str, str] | None = None,
    numerics: str = "",
) -> str:
    """Key of one call of a node.

    Args:
        own: From `own_part`.
        inputs: Input → id of the value it gets, or the ids of a list.
        files: Knob or name → digest of a file its value names.
        numerics: Device class, compute dtype and whatever else moves the last bits; empty for nodes
            that use no weights.
    """
    parts = [own, numerics.encode()]
    for name in sorted(inputs):
        given = inputs[name]
        parts.append(name.encode())
        parts.append(b"1" + given.encode() if isinstance(given, str) else canonical(given))
    if files:
        parts.append(canonical(files))
    return digest(*parts)

"""Edits to and from JSON, exactly and strictly; the crash journal and test scripts are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from studio.edits import (
    AnyEdit,
    Batch,
    Edit,
    MoveNodes,
    PutDefinition,
    PutFrame,
    PutNode,
    PutNote,
    SetGraphTitle,
    SetInterface,
    SetKnob,
    SetNodeField,
    SetPart,
    SetWire,
)
from studio.errors import EditError
from studio.graph import MODES, ExposedKnob, Frame, Graph, Interface, Node, Note, Port, Socket
from studio.types import Json

MAX_NESTING = 32
_KINDS: dict[str, type[AnyEdit]] = {
    "put_node": PutNode,
    "set_wire": SetWire,
    "set_knob": SetKnob,
    "move_nodes": MoveNodes,
    "set_node_field": SetNodeField,
    "put_definition": PutDefinition,
    "set_interface": SetInterface,
    "set_graph_title": SetGraphTitle,
    "put_frame": PutFrame,
    "put_note": PutNote,
    "set_part": SetPart,
    "batch": Batch,
}
_NAMES: dict[type[AnyEdit], str] = {kind: name for name, kind in _KINDS.items()}
_Check = Callable[[Json], Any]


def edit_to_json(edit: Edit) -> dict[str, Json]:
    """Return `edit` as a JSON object.

    Raises:
        EditError: It is of a kind that files do not know.
    """
    name = _NAMES.get(cast("type[AnyEdit]", type(edit)))
    if name is None:
        raise EditError(f"Edits of the kind “{type(edit).__name__}” cannot be written to a file.")
    body = {item.name: _written(getattr(edit, item.name)) for item in fields(cast("AnyEdit", edit))}
    return {"edit": name, **body}


def edit_from_json(data: Json) -> AnyEdit:
    """The inverse of `edit_to_json`.

    Raises:
        EditError: Anything else than what `edit_to_json` writes.
    """
    return _edit(data, MAX_NESTING)


def _written(value: Any) -> Json:
    """Return a field of an edit as JSON; wires become rows, since their keys are no text."""
    if isinstance(value, Graph):
        wires: list[Json] = [[*target, *source] for target, source in value.wires.items()]
        return {**_record(value, skip="wires"), "wires": wires}
    if isinstance(value, Node | Frame | Note | Interface | Port | ExposedKnob):
        return _record(value)
    if isinstance(value, tuple | list):
        return [_written(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in cast("Mapping[str, object]", value).items()}
    if type(value) in _NAMES:
        return edit_to_json(value)
    return cast("Json", value)


def _record(value: Any, skip: str = "") -> dict[str, Json]:
    return {item.name: _written(getattr(value, item.name)) for item in fields(value) if item.name != skip}


def _edit(data: Json, nesting: int) -> AnyEdit:
    body = dict(_object(data))
    name = body.pop("edit", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise EditError(f"“{str(name)[:60]}” is no edit that this version knows.")
    if kind is Batch:
        if nesting == 0:
            raise EditError("The edits lie too deep within one another.")
        made = _made(Batch, body, {"edits": lambda value: tuple(_edit(x, nesting - 1) for x in _list(value))})
    else:
        made = _made(kind, body, _SHAPES[kind])
    if isinstance(made, SetNodeField):
        _VALUES_OF_FIELD[made.field](made.value)
    elif isinstance(made, SetPart):
        (_text if made.part == "title" else _object)(made.value)
    return cast("AnyEdit", made)


def _made(kind: type[Any], body: Mapping[str, Json], shapes: Mapping[str, _Check]) -> Any:
    """Build a value of `kind`; every field must be there, and no other."""
    if body.keys() != shapes.keys():
        odd = ", ".join(sorted(body.keys() ^ shapes.keys()))[:80]
        raise EditError(f"A {kind.__name__} in the file has missing or unknown parts: {odd}.")
    return kind(**{name: check(body[name]) for name, check in shapes.items()})


def _wrong(value: Json, wanted: str) -> EditError:
    shown = repr(value)[:60]
    return EditError(f"An edit in the file holds {shown} where {wanted} belongs.")


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "text")
    return value


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "yes or no")
    return value


def _whole(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(value, "a whole number")
    return value


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(value, "a number")
    return float(value)


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(value, "an object")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise _wrong(value, "a list")
    return value


def _json(value: Json) -> Json:
    return value


def _one_of(*names: str) -> _Check:
    def check(value: Json) -> str:
        if value not in names:
            raise _wrong(value, f"one of {', '.join(names)}")
        return value

    return check


def _numbers(count: int) -> _Check:
    def check(value: Json) -> tuple[float, ...]:
        if len(_list(value)) != count:
            raise _wrong(value, f"a list of {count} numbers")
        return tuple(_number(item) for item in _list(value))

    return check


def _tuple_of(check: _Check) -> _Check:
    return lambda value: tuple(check(item) for item in _list(value))


def _dict_of(check: _Check) -> _Check:
    return lambda value: {name: check(item) for name, item in _object(value).items()}


def _or_none(check: _Check) -> _Check:
    return lambda value: None if value is None else check(value)


def _value(kind: type[Any], shapes: Mapping[str, _Check]) -> _Check:
    return lambda value: _made(kind, _object(value), shapes)


def _socket(value: Json) -> Socket:
    parts = _list(value)
    if len(parts) != 2:
        raise _wrong(value, "a node and a socket")
    return Socket(_text(parts[0]), _text(parts[1]))


def _wires(value: Json) -> dict[Socket, Socket]:
    rows = [_list(row) for row in _list(value)]
    if any(len(row) != 4 for row in rows):
        raise _wrong(value, "rows of two sockets")
    return {_socket(row[:2]): _socket(row[2:]) for row in rows}


_PORT = {"name": _text, "type": _text, "many": _flag, "optional": _flag, "extra": _object}
_EXPOSED = {"name": _text, "node": _text, "knob": _text, "extra": _object}
_PLACE = {"id": _text, "graph": _text, "rect": _numbers(4), "colour": _text, "extra": _object}
_interface = _value(
    Interface,
    {
        "inputs": _tuple_of(_value(Port, _PORT)),
        "outputs": _tuple_of(_value(Port, _PORT)),
        "knobs": _tuple_of(_value(ExposedKnob, _EXPOSED)),
        "extra": _object,
    },
)
_node = _value(
    Node,
    {
        "id": _text,
        "type": _text,
        "version": _whole,
        "params": _object,
        "pos": _numbers(2),
        "title": _text,
        "mode": _one_of(*MODES),
        "look": _object,
        "extra": _object,
    },
)
_graph = _value(
    Graph,
    {
        "nodes": _dict_of(_node),
        "wires": _wires,
        "interface": _interface,
        "title": _text,
        "extra": _object,
    },
)
_frame = _value(Frame, {**_PLACE, "title": _text, "nodes": _tuple_of(_text), "on": _flag})
_note = _value(Note, {**_PLACE, "text": _text})
_VALUES_OF_FIELD: dict[str, _Check] = {"title": _text, "mode": _one_of(*MODES), "look": _object}
_SHAPES: dict[type[AnyEdit], dict[str, _Check]] = {
    PutNode: {"graph": _text, "id": _text, "node": _or_none(_node)},
    SetWire: {"graph": _text, "target": _socket, "source": _or_none(_socket)},
    SetKnob: {"graph": _text, "node": _text, "knob": _text, "value": _json, "unset": _flag},
    MoveNodes: {"graph": _text, "positions": _dict_of(_numbers(2))},
    SetNodeField: {"graph": _text, "node": _text, "field": _one_of(*_VALUES_OF_FIELD), "value": _json},
    PutDefinition: {"name": _text, "definition": _or_none(_graph)},
    SetInterface: {"graph": _text, "interface": _interface},
    SetGraphTitle: {"graph": _text, "title": _text},
    PutFrame: {"id": _text, "frame": _or_none(_frame)},
    PutNote: {"id": _text, "note": _or_none(_note)},
    SetPart: {
        "part": _one_of("title", "form", "canvas", "models", "requires", "extra"),
        "value": _json,
    },
}

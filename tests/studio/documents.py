"""Strategies for documents of toy nodes: some that run, and some that make no sense at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from studio.document import Content
from studio.graph import BOUNDARY, MODES, ROOT, ExposedKnob, Frame, Graph, Interface, Node, Port, Socket
from tests.studio import rogues

LEFT_OUT = ("paused", "keep")
NAMES = [f"n{index}" for index in range(8)]
types = st.sampled_from(
    [name for name in rogues.REGISTRY.specs if name.partition("/")[2] not in LEFT_OUT]
    + ["alien/thing", "toy/nothing", "inner", "deep", "ghost"]
)
sockets = sorted(
    {
        part.name
        for spec in rogues.REGISTRY.specs.values()
        for part in (*spec.inputs, *spec.knobs, *spec.outputs)
    }
    | {"in", "out", "nonsense"}
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [10**400, -(2**70), 1e308, 0.5, "", "1,2,3", "error", "twice", "raise", "a\0b", "/dev/null"]
    ),
    st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b"]), st.booleans(), max_size=2),
)


@st.composite
def nodes(draw: st.DrawFn, key: str) -> Node:
    """A node whose knobs are mostly its own, with values mostly of the right kind."""
    kind = draw(types)
    spec = rogues.REGISTRY.specs.get(kind)
    params: dict[str, Any] = {}
    for knob in spec.knobs if spec else ():
        if draw(st.integers(0, 3)) == 0:
            params[knob.name] = draw(values)
    params.pop("wait", None)
    params.pop("steps", None)
    if draw(st.integers(0, 9)) == 0:
        params[draw(st.sampled_from(sockets))] = draw(values)
        params.pop("wait", None)
        params.pop("steps", None)
    mode = draw(st.sampled_from(["on", "on", "on", *MODES]))
    return Node(key, kind, draw(st.sampled_from([1, 1, 1, 2])), params, mode=mode)


@st.composite
def graphs(draw: st.DrawFn, *, inner: bool) -> Graph:
    """Nodes with wires that mostly fit in name, and sometimes lead anywhere."""
    keys = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
    made = {key: draw(nodes(key)) for key in keys}
    ends = [*keys, BOUNDARY] if inner else keys
    wires: dict[Socket, Socket] = {}
    for index, key in enumerate(keys):
        spec = rogues.REGISTRY.specs.get(made[key].type)
        taken = [item.name for item in spec.inputs] if spec else ["in"]
        taken += [knob.name for knob in spec.knobs if draw(st.integers(0, 4)) == 0] if spec else ["more"]
        for name in taken:
            if name in ("wait", "steps") or draw(st.integers(0, 5)) == 0:
                continue
            earlier = keys[:index] if index and draw(st.integers(0, 5)) else ends
            source = draw(st.sampled_from(earlier))
            found = rogues.REGISTRY.specs.get(made[source].type) if source else None
            outputs = [item.name for item in found.outputs] if found and found.outputs else ["in", "out"]
            wires[Socket(key, name)] = Socket(source, draw(st.sampled_from(outputs)))
    if not inner:
        return Graph(made, wires)
    for name in ("out", "more"):
        wires[Socket(BOUNDARY, name)] = Socket(draw(st.sampled_from(ends)), draw(st.sampled_from(sockets)))
    ports = st.builds(
        Port,
        st.sampled_from(["in", "out"]),
        st.sampled_from(["toy/grain", "int", "any"]),
        st.booleans(),
        st.booleans(),
    )
    knobs = st.builds(
        ExposedKnob, st.sampled_from(["more", "value"]), st.sampled_from(keys), st.sampled_from(sockets)
    )
    shown = Interface(
        tuple(draw(st.lists(ports, max_size=2))),
        tuple(draw(st.lists(ports, max_size=2))),
        tuple(knob for knob in draw(st.lists(knobs, max_size=2)) if knob.knob not in ("wait", "steps")),
    )
    return Graph(made, wires, shown)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A document with two definitions that may hold each other, and themselves."""
    made = {
        ROOT: draw(graphs(inner=False)),
        "inner": draw(graphs(inner=True)),
        "deep": draw(graphs(inner=True)),
    }
    held = tuple(draw(st.lists(st.sampled_from(NAMES), max_size=3)))
    frame = Frame("f", draw(st.sampled_from([ROOT, "inner", "ghost"])), nodes=held, on=draw(st.booleans()))
    return Content(id="fuzz", graphs=made, frames={"f": frame})


SANE_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "how": st.sampled_from(
        ["raise", "error", "none", "cancel", "huge", "twice", "stranger", "number", "true"]
    ),
    "values": st.sampled_from(["", "1", "1,2", "2,4", "1,2,3"]),
    "value": st.integers(-3, 3),
    "left": st.integers(0, 3),
    "right": st.integers(0, 3),
    "limit": st.integers(0, 3),
    "more": st.integers(-2, 101),
    "steps": st.integers(0, 2),
    "level": st.sampled_from([0.0, 0.5, 1]),
    "condition": st.booleans(),
    "strength": st.sampled_from([0, 0.5]),
}
CALM = ("paused", "keep", "broken", "quits", "asks_oddly", "passes_for_ever", "picky", "smearer", "divide")


@st.composite
def sane_graphs(draw: st.DrawFn, *, calm: bool = False, modes: bool = True, size: int = 10) -> Graph:
    """A graph whose wires all fit; `calm` leaves out nodes that fail."""
    specs = [
        spec
        for name, spec in rogues.REGISTRY.specs.items()
        if name.partition("/")[2] not in (CALM if calm else LEFT_OUT)
    ]
    there: dict[str, list[Socket]] = {}
    made: dict[str, Node] = {}
    wires: dict[Socket, Socket] = {}
    for index in range(draw(st.integers(2, size))):
        able = [
            spec
            for spec in specs
            if all(
                item.optional or there.get(item.type) or (there and item.type == "any")
                for item in spec.inputs
            )
        ]
        spec, key = draw(st.sampled_from(able)), f"n{index}"
        anything = draw(st.sampled_from(sorted(there))) if there else "any"
        for item in spec.inputs:
            offered = there.get(anything if item.type == "any" else item.type, [])
            if offered and not (item.optional and draw(st.booleans())):
                wires[Socket(key, item.name)] = draw(st.sampled_from(offered))
        params: dict[str, Any] = {}
        for knob in spec.knobs:
            if knob.name in SANE_VALUES and draw(st.booleans()):
                params[knob.name] = draw(SANE_VALUES[knob.name])
            if knob.kind == "int" and knob.name != "steps" and there.get("int") and draw(st.booleans()):
                wires[Socket(key, knob.name)] = draw(st.sampled_from(there["int"]))
        mode = draw(st.sampled_from(["on"] * 8 + ["bypass", "mute"])) if modes else "on"
        made[key] = Node(key, spec.type, 1, params, mode=mode)
        for output in spec.outputs:
            kind = anything if output.type == "any" else output.type
            there.setdefault(kind, []).append(Socket(key, output.name))
    return Graph(made, wires)


def grouped(
    content: Content, graph: str, ids: frozenset[str], name: str, exposed: frozenset[Socket]
) -> Content:
    """The document with some nodes of a graph in a definition of their own, and some of their knobs shown."""
    old = content.graphs[graph]
    inner: dict[Socket, Socket] = {}
    outer: dict[Socket, Socket] = {}
    inputs: dict[Socket, Port] = {}
    outputs: dict[Socket, Port] = {}
    knobs: dict[Socket, ExposedKnob] = {}
    handed_on = {Socket(knob.node, knob.knob) for knob in old.interface.knobs}
    for socket in sorted(exposed | handed_on):
        if socket.node in ids:
            knobs[socket] = ExposedKnob(f"knob_{len(knobs)}", socket.node, socket.name)
    for target, source in old.wires.items():
        inside = (target.node in ids, source.node in ids)
        end, start = target, source
        if inside == (True, False):
            if target in knobs:
                outer[Socket(name, knobs[target].name)] = source
                continue
            port = inputs.setdefault(source, Port(f"in_{len(inputs)}", "any", many=False, optional=True))
            outer[Socket(name, port.name)] = source
            inner[target] = Socket(BOUNDARY, port.name)
        elif inside == (False, True):
            port = outputs.setdefault(source, Port(f"out_{len(outputs)}", "any"))
            inner[Socket(BOUNDARY, port.name)] = source
            outer[end] = Socket(name, port.name)
        else:
            (inner if inside[0] else outer)[end] = start
    params: dict[str, Any] = {}
    moved = {key: old.nodes[key] for key in old.nodes if key in ids}
    for socket, knob in knobs.items():
        node = moved[socket.node]
        if socket.name in node.params:
            params[knob.name] = node.params[socket.name]
            own = {key: value for key, value in node.params.items() if key != socket.name}
            moved[node.id] = replace(node, params=own)
    shown = Interface(tuple(inputs.values()), tuple(outputs.values()), tuple(knobs.values()))
    inside_now = {socket: knob.name for socket, knob in knobs.items()}
    handing_on = replace(
        old.interface,
        knobs=tuple(
            replace(knob, node=name, knob=inside_now[Socket(knob.node, knob.knob)])
            if Socket(knob.node, knob.knob) in inside_now
            else knob
            for knob in old.interface.knobs
        ),
    )
    nodes = {key: node for key, node in old.nodes.items() if key not in ids}
    nodes[name] = Node(name, f"{name}_type", 1, params)
    return replace(
        content,
        graphs={
            **content.graphs,
            graph: replace(old, nodes=nodes, wires=outer, interface=handing_on),
            f"{name}_type": Graph(moved, inner, shown),
        },
    )

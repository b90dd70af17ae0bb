"""Documents for tests: one with a definition, and strategies for JSON, contents and edits that may fail."""

from __future__ import annotations

from hypothesis import strategies as st

from studio.document import Content
from studio.edits import (
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
from studio.graph import BOUNDARY, MODES, ROOT, ExposedKnob, Frame, Graph, Interface, Node, Note, Port, Socket
from studio.types import Json


def small_content() -> Content:
    """A root of three nodes, one of them of the definition ``soften``, which holds one node."""
    inner = Graph(
        {"blur": Node("blur", "core/blur", params={"radius": 2.5})},
        {
            Socket("blur", "image"): Socket(BOUNDARY, "picture"),
            Socket(BOUNDARY, "image"): Socket("blur", "image"),
        },
        Interface(
            (Port("picture", "image"),), (Port("image", "image"),), (ExposedKnob("radius", "blur", "radius"),)
        ),
        "Soften",
    )
    root = Graph(
        {
            "photo": Node("photo", "core/load_image", params={"path": "a.png"}),
            "soft": Node("soft", "soften", pos=(300.0, 0.0)),
            "save": Node("save", "core/save_image", pos=(600.0, 20.0), mode="mute"),
        },
        {
            Socket("soft", "picture"): Socket("photo", "image"),
            Socket("save", "image"): Socket("soft", "image"),
        },
    )
    return Content(
        id="d0",
        title="Small",
        graphs={ROOT: root, "soften": inner},
        frames={"f1": Frame("f1", title="In", rect=(-20, -20, 600, 200), nodes=("photo", "soft"))},
        notes={"n1": Note("n1", "soften", "gently")},
    )


names = st.sampled_from(["a", "b", "c", "d"])
graphs = st.sampled_from([ROOT, ROOT, "inner", "deep"])
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["p", "q", "r"]), json_values, max_size=2)
unknown_keys = st.dictionaries(st.sampled_from(["x_1", "x_2"]), json_values, max_size=1)
points = st.tuples(finite, finite)
rects = st.tuples(finite, finite, finite, finite)
ends = st.sampled_from(["a", "b", "c", "d", BOUNDARY])
sockets = st.builds(Socket, ends, st.sampled_from(["image", "mask", "x.y"]))
types = st.sampled_from(["core/blur", "acme/other", "inner", "deep"])


def nodes(key: str) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        st.just(key),
        types,
        st.integers(1, 3),
        objects,
        points,
        st.text(max_size=3),
        st.sampled_from(MODES),
        objects,
        unknown_keys,
    )


ports = st.builds(Port, names, st.just("image"), st.booleans(), st.booleans(), unknown_keys)
exposed = st.builds(ExposedKnob, names, names, names, unknown_keys)
interfaces = st.builds(
    Interface,
    st.lists(ports, max_size=2, unique_by=lambda port: port.name).map(tuple),
    st.lists(ports, max_size=2, unique_by=lambda port: port.name).map(tuple),
    st.lists(exposed, max_size=2, unique_by=lambda knob: knob.name).map(tuple),
    unknown_keys,
)


@st.composite
def definitions(draw: st.DrawFn) -> Graph:
    keys = draw(st.sets(names, max_size=3))
    made = {key: draw(nodes(key)) for key in sorted(keys)}
    ends_here = st.sampled_from([*sorted(keys), BOUNDARY])
    end = st.builds(Socket, ends_here, st.sampled_from(["image", "mask", "x.y"]))
    wires = draw(st.dictionaries(end, end, max_size=3))
    return Graph(made, wires, draw(interfaces), draw(st.text(max_size=3)), draw(unknown_keys))


@st.composite
def frames(draw: st.DrawFn, key: str) -> Frame:
    held = draw(st.lists(names, max_size=2).map(tuple))
    colour = draw(st.sampled_from(["", "#123456"]))
    on, extra = draw(st.booleans()), draw(unknown_keys)
    return Frame(key, draw(graphs), draw(st.text(max_size=3)), draw(rects), held, colour, on, extra)


def notes(key: str) -> st.SearchStrategy[Note]:
    return st.builds(
        Note, st.just(key), graphs, st.text(max_size=5), rects, st.sampled_from(["", "#123456"]), unknown_keys
    )


def _field_edit(graph: str, node: str, field: str, value: Json) -> Edit:
    assert field in ("title", "mode", "look")
    return SetNodeField(graph, node, field, value)


def node_fields() -> st.SearchStrategy[Edit]:
    values = st.one_of(
        st.tuples(st.just("title"), st.text(max_size=3)),
        st.tuples(st.just("mode"), st.sampled_from(MODES)),
        st.tuples(st.just("look"), objects),
    )
    return st.tuples(graphs, names, values).map(lambda x: _field_edit(x[0], x[1], *x[2]))


def parts() -> st.SearchStrategy[Edit]:
    others = st.sampled_from(["form", "canvas", "models", "requires", "extra"])
    return st.builds(SetPart, st.just("title"), st.text(max_size=3)) | st.builds(SetPart, others, objects)


single_edits: st.SearchStrategy[Edit] = st.one_of(
    names.flatmap(lambda key: st.builds(PutNode, graphs, st.just(key), st.none() | nodes(key))),
    st.builds(PutNode, graphs, st.sampled_from(["", "a/b", "a.b"]), nodes("a/b")),
    st.builds(SetWire, graphs, sockets, st.none() | sockets),
    st.builds(SetKnob, graphs, names, st.sampled_from(["p", "q"]), json_values, st.booleans()),
    st.builds(MoveNodes, graphs, st.dictionaries(names, points, max_size=2)),
    node_fields(),
    st.builds(PutDefinition, st.sampled_from(["inner", "deep", "no/name"]), st.none() | definitions()),
    st.builds(SetInterface, graphs, interfaces),
    st.builds(SetGraphTitle, graphs, st.text(max_size=3)),
    names.flatmap(lambda key: st.builds(PutFrame, st.just(key), st.none() | frames(key))),
    names.flatmap(lambda key: st.builds(PutNote, st.just(key), st.none() | notes(key))),
    parts(),
)
edits: st.SearchStrategy[Edit] = st.recursive(
    single_edits, lambda inner: st.lists(inner, max_size=3).map(lambda x: Batch(tuple(x))), max_leaves=4
)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Documents with two definitions and nodes in all graphs, so that few random edits miss."""
    made = {"inner": draw(definitions()), "deep": draw(definitions())}
    root = draw(definitions())
    wires = {end: source for end, source in root.wires.items() if BOUNDARY not in (end.node, source.node)}
    return Content(
        id="d1",
        graphs={ROOT: Graph(root.nodes, wires, extra=root.extra), **made},
        frames={"a": draw(frames("a"))},
        notes={"a": draw(notes("a"))},
        unknown=draw(unknown_keys),
    )

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import gestures
from studio.document import Content
from studio.edits import Edit, PutFrame, SetWire
from studio.errors import EditError
from studio.graph import BOUNDARY, ROOT, Frame, Graph, Node, Socket
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from tests.studio.contents import contents, small_content

BLUR = NodeSpec(
    "acme/Blur 2",
    version=3,
    inputs=(InputSpec("mask", "mask"), InputSpec("image", "image"), InputSpec("other", "image")),
    knobs=(KnobSpec("radius", "float", 1.5),),
    outputs=(OutputSpec("image", "image"),),
)


def done(content: Content, edit: Edit) -> Content:
    """The content after `edit`, having seen that it can be undone."""
    after, inverse = edit.apply(content)
    assert inverse.apply(after)[0] == content
    return after


def test_a_fresh_node_has_its_defaults_and_a_readable_id() -> None:
    content = small_content()
    edit, key = gestures.add(content, ROOT, BLUR, (10.0, 20.0))
    content = done(content, edit)
    assert content.root.nodes[key] == Node("blur_2", "acme/Blur 2", 3, {"radius": 1.5}, (10.0, 20.0))
    assert gestures.add(content, ROOT, BLUR, (0, 0))[1] == "blur_2_2"


def test_a_name_without_letters_still_gives_an_id() -> None:
    assert gestures.stem("…") == "node"
    assert gestures.stem("Depth map/2.0") == "depth_map_2_0"


def test_a_node_of_a_definition_is_added_by_its_name() -> None:
    content = small_content()
    edit, key = gestures.add_definition(content, ROOT, "soften", (1, 2))
    assert done(content, edit).root.nodes[key] == Node("soften", "soften", pos=(1, 2))


def test_a_definition_cannot_be_added_to_itself_or_to_what_it_uses() -> None:
    content = small_content()
    outer = Graph({"s": Node("s", "soften")})
    content = replace(content, graphs={**content.graphs, "outer": outer})
    for graph, name in (("soften", "soften"), ("soften", "outer")):
        with pytest.raises(EditError, match="contain itself"):
            gestures.add_definition(content, graph, name, (0, 0))
    gestures.add_definition(content, "outer", "soften", (0, 0))


def test_an_unknown_graph_is_refused() -> None:
    with pytest.raises(EditError, match="no definition"):
        gestures.add(small_content(), "absent", BLUR, (0, 0))


def test_connecting_takes_the_place_of_the_wire_that_was_there() -> None:
    content = small_content()
    edit = gestures.connect(content, ROOT, Socket("save", "image"), Socket("photo", "image"))
    assert done(content, edit).root.wires[Socket("save", "image")] == Socket("photo", "image")


def test_disconnecting_what_is_unwired_is_refused() -> None:
    content = small_content()
    after = done(content, gestures.disconnect(content, ROOT, Socket("save", "image")))
    assert Socket("save", "image") not in after.root.wires
    with pytest.raises(EditError, match="Nothing is wired"):
        gestures.disconnect(after, ROOT, Socket("save", "image"))


def test_removing_a_node_takes_its_wires_and_its_place_in_frames() -> None:
    content = small_content()
    after = done(content, gestures.remove(content, ROOT, ["soft"]))
    assert set(after.root.nodes) == {"photo", "save"}
    assert after.root.wires == {}
    assert after.frames["f1"].nodes == ("photo",)


def test_removing_an_inner_node_takes_its_knobs_from_the_interface() -> None:
    content = small_content()
    after = done(content, gestures.remove(content, "soften", ["blur"]))
    assert after.graphs["soften"].interface.knobs == ()
    assert after.graphs["soften"].wires == {}
    assert after.graphs["soften"].interface.inputs == content.graphs["soften"].interface.inputs


def test_removing_a_frame_leaves_what_is_in_it() -> None:
    content = small_content()
    after = done(content, gestures.remove(content, ROOT, [], frames=["f1"], notes=["n1", "absent"]))
    assert after.frames == {}
    assert after.notes == {}
    assert after.root == content.root


def test_removing_what_is_not_there_is_refused() -> None:
    with pytest.raises(EditError, match="nobody"):
        gestures.remove(small_content(), ROOT, ["nobody"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents(), st.data())
def test_any_nodes_can_be_removed_and_brought_back(content: Content, data: st.DataObject) -> None:
    graph = data.draw(st.sampled_from(sorted(content.graphs)))
    nodes = sorted(content.graphs[graph].nodes)
    ids = data.draw(st.lists(st.sampled_from(nodes), unique=True)) if nodes else []
    after = done(content, gestures.remove(content, graph, ids))
    assert set(after.graphs[graph].nodes) == set(nodes) - set(ids)


def test_bridging_joins_the_wires_before_and_behind() -> None:
    content = small_content()
    edit = gestures.bridge(content, ROOT, ["soft"], {"soft": ("picture", "image")})
    assert done(content, edit).root.wires == {Socket("save", "image"): Socket("photo", "image")}


def test_bridging_a_row_of_nodes_joins_its_ends_and_a_source_leaves_nothing() -> None:
    nodes = {key: Node(key, "core/x") for key in "abcd"}
    wires = {Socket(end, "in"): Socket(source, "out") for source, end in ("ab", "bc", "cd")}
    content = Content(graphs={ROOT: Graph(nodes, wires)})
    through = dict.fromkeys("abcd", ("in", "out"))
    assert done(content, gestures.bridge(content, ROOT, "bc", through)).root.wires == {
        Socket("d", "in"): Socket("a", "out")
    }
    assert done(content, gestures.bridge(content, ROOT, "ab", through)).root.wires == {
        Socket("d", "in"): Socket("c", "out")
    }


def test_bridging_a_circle_ends() -> None:
    nodes = {key: Node(key, "core/x") for key in "abc"}
    wires = {Socket(end, "in"): Socket(source, "out") for source, end in ("ab", "ba", "bc")}
    content = Content(graphs={ROOT: Graph(nodes, wires)})
    edit = gestures.bridge(content, ROOT, "ab", dict.fromkeys("ab", ("in", "out")))
    assert done(content, edit).root.wires == {}


def test_a_wire_is_led_through_the_first_sockets_of_its_type() -> None:
    assert gestures.carried(BLUR, "image") == ("image", "image")
    assert gestures.carried(BLUR, "mask") is None


def test_a_node_dropped_on_a_wire_is_led_through() -> None:
    content = small_content()
    edit, key = gestures.add(content, ROOT, BLUR, (0, 0))
    content = done(content, edit)
    edit = gestures.insert_on_wire(content, ROOT, Socket("save", "image"), key, ("image", "image"))
    wires = done(content, edit).root.wires
    assert wires[Socket("save", "image")] == Socket(key, "image")
    assert wires[Socket(key, "image")] == Socket("soft", "image")


@pytest.mark.parametrize("node", ["save", "soft", BOUNDARY])
def test_a_node_is_not_put_on_a_wire_of_its_own(node: str) -> None:
    with pytest.raises(EditError, match="already"):
        gestures.insert_on_wire(small_content(), ROOT, Socket("save", "image"), node, ("image", "image"))


def test_where_no_wire_ends_nothing_is_inserted() -> None:
    with pytest.raises(EditError, match="No wire"):
        gestures.insert_on_wire(small_content(), ROOT, Socket("photo", "path"), "save", ("image", "image"))


def test_moving_shifts_by_the_same_amount() -> None:
    content = small_content()
    after = done(content, gestures.move(content, ROOT, ["photo", "save"], (5, -5)))
    assert after.root.nodes["photo"].pos == (5, -5)
    assert after.root.nodes["save"].pos == (605, 15)
    assert after.root.nodes["soft"].pos == (300, 0)


def test_gestures_leave_frames_of_other_graphs_alone() -> None:
    frame = Frame("f2", "soften", nodes=("soft",))
    content, _ = PutFrame("f2", frame).apply(small_content())
    assert done(content, gestures.remove(content, ROOT, ["soft"])).frames["f2"] == frame


def test_connecting_is_one_edit_that_names_its_graph() -> None:
    edit = gestures.connect(small_content(), "soften", Socket("blur", "mask"), Socket(BOUNDARY, "picture"))
    assert edit == SetWire("soften", Socket("blur", "mask"), Socket(BOUNDARY, "picture"))

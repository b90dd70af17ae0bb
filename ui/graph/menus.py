"""Context menus: what can be done with the thing under the mouse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QMenu

from studio.edits import PutFrame, SetWire
from studio.graph import BOUNDARY
from ui.graph import commands, hits
from ui.graph.face import words
from ui.graph.node_item import NodeItem
from ui.graph.remarks import FrameItem, NoteItem
from ui.graph.wire_item import WireItem

if TYPE_CHECKING:
    from ui.graph.view import GraphView


def context_menu(view: GraphView, pos: QPointF) -> QMenu:
    """The menu for a point of the scene; it goes once it is closed."""
    scene = view.graph_scene
    menu = QMenu(view)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    hit = hits.part_at(scene, pos)
    if hit is not None and hit[0].id != BOUNDARY:
        _of_node(menu, view, hit[0])
        return menu
    remark = hits.remark_at(scene, pos)
    wire = hits.wire_at(scene, pos) if remark is None and not view.far else None
    if isinstance(remark, FrameItem):
        _of_frame(menu, view, remark)
    elif isinstance(remark, NoteItem):
        _of_note(menu, view, remark)
    elif wire is not None:
        _of_wire(menu, view, wire, pos)
    else:
        _of_ground(menu, view, pos)
    return menu


def _of_node(menu: QMenu, view: GraphView, item: NodeItem) -> None:
    actions = view.graph_actions
    if item.id not in view.graph_scene.selected:
        view.graph_scene.select([item.id])
    menu.addActions([actions.run_to, actions.bypass, actions.mute])
    menu.addSeparator()
    menu.addActions([actions.cut, actions.copy, actions.duplicate, actions.delete])
    menu.addSeparator()
    menu.addActions([actions.rename, actions.group, actions.ungroup, actions.frame_selection])


def _of_frame(menu: QMenu, view: GraphView, item: FrameItem) -> None:
    scene, frame = view.graph_scene, item.frame
    other = replace(frame, on=not frame.on)
    verb = "Turn off" if frame.on else "Turn on"
    menu.addAction(
        f"{verb} the nodes in it", lambda: scene.editing.apply(PutFrame(frame.id, other), f"{verb} frame")
    )
    menu.addAction("Rename frame", lambda: view.writing.rename_frame(item))
    menu.addAction("Select the nodes in it", lambda: scene.select(frame.nodes))
    menu.addSeparator()
    menu.addAction("Remove frame", lambda: commands.delete(scene, [], [frame.id]))


def _of_note(menu: QMenu, view: GraphView, item: NoteItem) -> None:
    menu.addAction("Write", lambda: view.writing.write_note(item))
    menu.addAction("Delete note", lambda: commands.delete(view.graph_scene, [], (), [item.note.id]))


def _of_wire(menu: QMenu, view: GraphView, wire: WireItem, pos: QPointF) -> None:
    scene, target = view.graph_scene, wire.target
    text = f"Disconnect {words(target.name)}"
    menu.addAction(text, lambda: scene.editing.apply(SetWire(scene.name, target, None), text))
    menu.addAction("Add a reroute", lambda: commands.reroute(scene, target, pos))


def _of_ground(menu: QMenu, view: GraphView, pos: QPointF) -> None:
    actions = view.graph_actions
    menu.addAction(actions.add)
    menu.addAction("Add note", lambda: view.add_note(pos))
    menu.addSeparator()
    menu.addActions([actions.paste, actions.paste_wired, actions.select_all])
    menu.addSeparator()
    menu.addActions([actions.frame_all, actions.zoom_full])

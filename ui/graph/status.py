"""What a graph view shows that is no part of the document: catalogue, run states, pictures, problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from studio.catalogue import Catalogue
from studio.errors import Problem
from studio.events import NodeState


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as the last run left it.

    Attributes:
        state: None before any run.
        seconds: Time it took, if it ran.
        why: Why it ran, or what went wrong, in words.
        done: Steps done, while running.
        total: Steps in all; 0 if it does not tell.
        picture: Preview or result, small.
    """

    state: NodeState | None = None
    seconds: float = 0.0
    why: str = ""
    done: int = 0
    total: int = 0
    picture: QImage | None = None


NOTHING = NodeStatus()


class GraphStatus(QObject):
    """View state of a document's graphs, fed by the window from engine events. GUI thread.

    Nodes are named by address (``sub/k_sampler``).
    """

    catalogue_changed = Signal()
    node_changed = Signal(str)
    problems_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.catalogue = Catalogue()
        self.problems: tuple[Problem, ...] = ()
        self._nodes: dict[str, NodeStatus] = {}
        self._by_node: dict[tuple[str, str], list[Problem]] = {}

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Show nodes by this catalogue from now on."""
        self.catalogue = catalogue
        self.catalogue_changed.emit()

    def node(self, address: str) -> NodeStatus:
        """What is known of a node."""
        return self._nodes.get(address, NOTHING)

    def set_state(self, address: str, state: NodeState, seconds: float = 0.0, why: str = "") -> None:
        """A node entered a state; its picture stays, its progress is over unless it runs."""
        old = self.node(address)
        running = state == "running" and old.state == "running"
        self._put(
            address,
            replace(
                old,
                state=state,
                seconds=seconds,
                why=why,
                done=old.done if running else 0,
                total=old.total if running else 0,
            ),
        )

    def set_progress(self, address: str, done: int, total: int, picture: QImage | None) -> None:
        """How far a running node is; without a new picture the last one stays."""
        old = self.node(address)
        shown = old.picture if picture is None else picture
        self._put(address, replace(old, state="running", done=done, total=total, picture=shown))

    def set_picture(self, address: str, picture: QImage | None) -> None:
        """Show a small picture in the node: a preview or a result."""
        self._put(address, replace(self.node(address), picture=picture))

    def set_problems(self, problems: Iterable[Problem]) -> None:
        """Mark the nodes that cannot run as they are."""
        self.problems = tuple(problems)
        self._by_node = {}
        for problem in self.problems:
            self._by_node.setdefault((problem.graph, problem.node), []).append(problem)
        self.problems_changed.emit()

    def problems_of(self, graph: str, node: str) -> tuple[Problem, ...]:
        """Problems of one node."""
        return tuple(self._by_node.get((graph, node), ()))

    def clear_run(self) -> None:
        """Forget states and progress; pictures stay until others come."""
        for address, status in tuple(self._nodes.items()):
            self._put(address, NodeStatus(picture=status.picture))

    def _put(self, address: str, status: NodeStatus) -> None:
        if status != self._nodes.get(address):
            self._nodes[address] = status
            self.node_changed.emit(address)

"""What a run tells, taken to where a person sees it: nodes, pictures, problems, words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from studio.document import Content
from studio.edits import SetKnob
from studio.events import (
    NodeChanged,
    NodeFailed,
    Picture,
    Progress,
    Result,
    RunFinished,
    RunStarted,
    Saved,
)
from studio.graph import ROOT, Graph
from studio.spec import NodeSpec
from ui.engine import Engine
from ui.graph.status import NodeStatus
from ui.page import Page
from ui.problems import trouble_of_failure
from ui.results import Shot
from ui.runs import Draws, Run, Runs

THUMB_PX = 256
MOST_PICTURES = 64
"""Of one output; the rest stay in the cache and in their files."""
PICTURES = ("image", "mask")


class Follower(QObject):
    """Listens to the runs of a window. GUI thread."""

    previewed = Signal(object, QImage, str)
    pictured = Signal(object, object)
    thumbed = Signal(object)
    finished = Signal(object)
    said = Signal(str, bool)

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        page_of: Callable[[str], Page | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._page_of = page_of
        self._shots: dict[str, list[Shot]] = {}
        runs.happened.connect(self._hear)

    def _hear(self, run: Run, event: object) -> None:
        page = self._page_of(run.page)
        match event:
            case RunStarted():
                self._shots[run.id] = []
                self._start(page, event)
            case NodeChanged():
                if page is not None:
                    why = " ".join(words for words in (event.why, event.note) if words)
                    known = page.status.node(event.node)
                    if event.state == known.state == "failed":
                        why = why or known.why  # told by the `NodeFailed` that came before
                    page.status.set_state(event.node, event.state, event.seconds, why)
                if event.note:
                    self.said.emit(f"{event.node}: {event.note}", False)
            case Progress():
                self._progress(run, page, event)
            case NodeFailed():
                self._failed(page, event)
            case Result() if event.type in PICTURES:
                self._result(run, event)
            case Saved():
                self._saved(run, event)
            case RunFinished():
                self._finish(run, page, event)
            case _:
                pass

    def _start(self, page: Page | None, event: RunStarted) -> None:
        if page is None:
            return
        page.forget_failures()
        page.status.clear_run()
        for node, state in event.states.items():
            page.status.set_state(node, state)

    def _progress(self, run: Run, page: Page | None, event: Progress) -> None:
        preview = image_of(event.preview) if event.preview else None
        if page is not None:
            page.status.set_progress(event.node, event.done, event.total, preview)
        if preview is not None:
            words = f"{event.node}   step {event.done} of {event.total}"
            self.previewed.emit(run, preview, words)

    def _failed(self, page: Page | None, event: NodeFailed) -> None:
        if page is not None:
            if event.node:
                words = f"{event.title} {event.remedy}".strip()
                page.status.set_state(event.node, "failed", 0.0, words)
            page.fail(trouble_of_failure(event))
        told = not event.node or f"“{event.node}”" in event.title
        self.said.emit(event.title if told else f"{event.node}: {event.title}", True)

    def _result(self, run: Run, event: Result) -> None:
        """A picture can be had: of a node that shows it, for the strip; of any other, for the node alone."""
        if not self._is_first(run, event):
            return
        if not self._shows(run, event.node):
            shot = Shot(event.node, key=event.key, output=event.output)
            self._engine.fetch(shot.key, shot.output, 0, self._thumb(run, shot, event.node), THUMB_PX)
            return
        known = self._shots.setdefault(run.id, [])
        content = as_run(run.content, run.draws)
        made: list[Shot] = []
        wearer = self._wearer(run, event)
        for index in range(min(event.count, MOST_PICTURES)):
            source = (event.key, event.output, index)
            if any(shot.source == source for shot in known):
                continue  # a sink tells at the end where the pictures are that it was given
            shot = next((item for item in known if not item.key and item.node == event.node), None)
            if shot is None:
                shot = Shot(event.node, run.title, content)
                known.append(shot)
            made.append(shot)
            shot.key, shot.output, shot.index = source
            self._engine.fetch(*source, self._thumb(run, shot, wearer), THUMB_PX)
        for shot in reversed(made):
            self.pictured.emit(run, shot)

    def _spec(self, run: Run, address: str) -> NodeSpec | None:
        graph, name = _place(run.content, address)
        return self._engine.catalogue.specs.get(graph.nodes[name].type)

    def _is_first(self, run: Run, event: Result) -> bool:
        """A node with several pictures shows the first: a mask would hide the picture it came with."""
        spec = self._spec(run, event.node)
        if spec is None or spec.sink or spec.passes:
            return True  # its pictures are told under the names their makers gave them
        names = (output.name for output in spec.outputs if output.type in PICTURES)
        return event.output == next(names, event.output)

    def _shows(self, run: Run, address: str) -> bool:
        asked = address in run.targets
        spec = self._spec(run, address)
        if spec is None or (asked and not run.live):
            return asked
        return (asked or spec.shows) and not self._is_given(run, address, spec)

    def _is_given(self, run: Run, address: str, spec: NodeSpec) -> bool:
        """True of a picture that was there before, where others are made of it: no result of a run."""
        if spec.inputs:
            return False
        graph, name = _place(run.content, address)
        within = address.removesuffix(name)
        takers = {target.node for target, source in graph.wires.items() if source.node == name}
        specs = (self._spec(run, f"{within}{taker}") for taker in takers if taker in graph.nodes)
        return any(taker is None or not taker.sink for taker in specs)

    def _wearer(self, run: Run, event: Result) -> str:
        """The node to show a picture in: of what a sink was given, the one that made it."""
        spec = self._spec(run, event.node)
        if spec is None or not spec.sink:
            return event.node
        graph, name = _place(run.content, event.node)
        makers = (source.node for _target, source in graph.inputs_of(name) if source.name == event.output)
        within = event.node.removesuffix(name)
        return next((f"{within}{maker}" for maker in makers), event.node)

    def _thumb(self, run: Run, shot: Shot, wearer: str) -> Callable[[QImage | None, str], None]:
        def receive(picture: QImage | None, why: str) -> None:
            if picture is None:
                self.said.emit(why, True)
                return
            shot.thumb = picture
            page = self._page_of(run.page)
            if page is not None and shot.index == 0:
                page.status.set_picture(wearer, picture)
            self.thumbed.emit(shot)

        return receive

    def _saved(self, run: Run, event: Saved) -> None:
        """Tie a saved file to the picture it was made of; a file that fits none is a result of its own."""
        graph = run.content.root if "/" not in event.node else None
        sources = {source.node for _target, source in graph.inputs_of(event.node)} if graph else set()
        known = self._shots.setdefault(run.id, [])
        for shot in known:
            if shot.path is None and shot.node in sources:
                shot.path = Path(event.path)
                self.thumbed.emit(shot)
                return
        shot = Shot(event.node, run.title, as_run(run.content, run.draws), path=Path(event.path))
        known.append(shot)
        self.pictured.emit(run, shot)

    def _finish(self, run: Run, page: Page | None, event: RunFinished) -> None:
        self._shots.pop(run.id, None)
        if page is not None and run.draws and event.state == "done":
            page.draws = run.draws
        match event.state:
            case "done":
                on = f" on {event.device} in {event.dtype}" if event.device else ""
                self.said.emit(f"“{run.title}” is done: {event.seconds:.2f} s{on}.", False)
            case "cancelled":
                self.said.emit(f"“{run.title}” was cancelled.", False)
            case "failed" if page is not None and not page.failures:
                self.said.emit(f"“{run.title}” could not run. The problems are listed below.", True)
            case _:
                pass
        self.finished.emit(run)


def _place(content: Content, address: str) -> tuple[Graph, str]:
    """The graph that holds the node of an address, and the node's id there."""
    *through, name = address.split("/")
    graph = content.root
    for step in through:
        graph = content.graphs[graph.nodes[step].type]
    return graph, name


def image_of(picture: Picture) -> QImage:
    """A small picture of an event as Qt holds it."""
    form = QImage.Format.Format_RGB888
    return QImage(picture.rgb, picture.width, picture.height, picture.width * 3, form).copy()


def as_run(content: Content, draws: Draws) -> Content:
    """The document with drawn values in place; those of a definition are the last use's."""
    for address, knobs in draws.items():
        *through, node = address.split("/")
        graph = ROOT
        for name in through:
            graph = content.graphs[graph].nodes[name].type
        for knob, value in knobs.items():
            content = SetKnob(graph, node, knob, value).apply(content)[0]
    return content


def told(status: NodeStatus) -> str:
    """What became of a node in the last run, in words; empty before any."""
    why = f": {status.why}" if status.why else ""
    match status.state:
        case "ran":
            return f"Ran in {status.seconds:.2f} s{why}"
        case "running":
            return f"Running, step {status.done} of {status.total}" if status.total else "Running"
        case "cached":
            return "Nothing to do: its result was stored."
        case None:
            return ""
        case other:
            return f"{other.capitalize()}{why}"

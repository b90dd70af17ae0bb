"""From a press on Run to a run: what it aims at, what is drawn for it, how often, and again on a change."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from studio.catalogue import Catalogue
from studio.document import Content
from studio.draws import SEED_BITS, draw
from studio.edits import Batch, MoveNodes, PutFrame, PutNote, SetGraphTitle, SetNodeField
from studio.flatten import flatten
from ui.page import Page
from ui.runs import Draws, Run, Runs

CHANGE_SETTLES_MS = 150


class Running(QObject):
    """Asks for runs of the page in front. GUI thread.

    Attributes:
        count: How many runs a press on Run asks for.
        live: Run again on every change.
    """

    def __init__(self, runs: Runs, page: Callable[[], Page | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.count = 1
        self.live = False
        self._runs = runs
        self._page = page
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(CHANGE_SETTLES_MS)
        self._settled.timeout.connect(self._run_live)

    def run(self, targets: tuple[str, ...] = ()) -> None:
        """Run the page in front, to `targets` or as a whole, as often as `count` says."""
        page = self._page()
        if page is None:
            return
        for number in range(self.count):
            draws = draw(page.content)
            if number:
                draws = _with_seeds(page.content, page.status.catalogue, draws)
            self._runs.submit(self._made(page, targets, draws))

    def set_live(self, live: bool) -> None:
        """Run again on every change, beginning now, or no more."""
        self.live = live
        if live:
            self._run_live()
        else:
            self._settled.stop()

    def changed(self, edit: object) -> None:
        """An edit was made on the page in front."""
        if self.live and matters(edit):
            self._settled.start()

    def stop(self) -> None:
        """Ask for nothing more."""
        self.live = False
        self._settled.stop()

    def _run_live(self) -> None:
        page = self._page()
        if page is None:
            return
        targets = shown(page.content, page.status.catalogue)
        if not targets:
            return
        # New seeds at every notch of a slider would hide what the slider does.
        fresh = draw(page.content)
        draws = {node: page.draws.get(node, knobs) for node, knobs in fresh.items()}
        page.draws = draws
        self._runs.submit(self._made(page, targets, draws, live=True))

    @staticmethod
    def _made(page: Page, targets: tuple[str, ...], draws: Draws, *, live: bool = False) -> Run:
        base = str(page.path.parent) if page.path else ""
        return Run(page.key, page.title, page.content, targets, draws, base, live)


def matters(edit: object) -> bool:
    """True if an edit can change what a run gives; positions, titles and colours cannot."""
    if isinstance(edit, Batch):
        return any(map(matters, edit.edits))
    if isinstance(edit, SetNodeField):
        return edit.field == "mode"
    if isinstance(edit, PutFrame):
        return True
    return not isinstance(edit, MoveNodes | PutNote | SetGraphTitle)


def shown(content: Content, catalogue: Catalogue) -> tuple[str, ...]:
    """What a run on every change aims at: all that shows something, and what sinks would have saved."""
    flat = flatten(content, catalogue)
    found: dict[str, None] = {}
    for address, node in flat.nodes.items():
        if node.spec.sink:
            found.update((source.address, None) for source in node.wires.values())
        elif node.spec.shows:
            found[address] = None
    return tuple(found)


def _with_seeds(content: Content, catalogue: Catalogue, draws: Draws) -> Draws:
    """`draws` with a new value for every seed that no wire sets."""
    drawn = {node: dict(knobs) for node, knobs in draws.items()}
    for address, node in flatten(content, catalogue).nodes.items():
        for knob in node.spec.knobs:
            if knob.kind == "seed" and knob.name not in node.wires:
                drawn.setdefault(address, {}).setdefault(knob.name, secrets.randbits(SEED_BITS))
    return drawn

"""Old nodes brought up to date: asked of the engine, which has the functions, and made an edit here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from PySide6.QtCore import QObject, Signal

from studio.document import Content
from studio.edits import AnyEdit, Batch, PutNode
from studio.types import Json
from studio.worker.protocol import UpgradeReply, UpgradeRequest
from ui.engine import Engine
from ui.page import Page


class Upgrades(QObject):
    """Asks once for every page; until the answer is there, the nodes stay as they are. GUI thread."""

    said = Signal(str, bool)

    def __init__(
        self, engine: Engine, page_of: Callable[[str], Page | None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._page_of = page_of
        self._asked: dict[str, str] = {}
        self._numbers = itertools.count(1)
        engine.upgraded.connect(self._answered)

    def ask(self, page: Page) -> None:
        """Ask for today's parameters of the page's old nodes, if it has any."""
        old = self._old(page.content)
        if old and page.key not in self._asked.values():
            request = f"upgrade-{next(self._numbers)}"
            self._asked[request] = page.key
            self._engine.send(UpgradeRequest(request, old))

    def _old(self, content: Content) -> dict[str, dict[str, Json]]:
        specs = self._engine.catalogue.specs
        return {
            f"{name}/{node.id}": {"type": node.type, "version": node.version, "params": dict(node.params)}
            for name, graph in content.graphs.items()
            for node in graph.nodes.values()
            if node.type in specs and node.version < specs[node.type].version
        }

    def _answered(self, reply: UpgradeReply) -> None:
        page = self._page_of(self._asked.get(reply.id, ""))
        if page is None:
            return
        edits: list[AnyEdit] = []
        for place, new in reply.nodes.items():
            name, _, key = place.partition("/")
            node = page.content.graphs[name].nodes.get(key) if name in page.content.graphs else None
            if node is not None:
                params = cast("dict[str, Json]", new["params"])
                made = replace(node, version=cast("int", new["version"]), params=params)
                edits.append(PutNode(name, key, made))
        if edits:
            page.editing.apply(Batch(tuple(edits)), "Bring old nodes up to date")
        for sentence in reply.errors.values():
            self.said.emit(sentence, True)

"""The window: documents in the middle, panels around them, and who listens to whom."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QImage,
    QUndoGroup,
)
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox

from studio import paths
from studio.catalogue import Catalogue
from studio.models.catalogue import Entry
from studio.settings import Settings
from studio.worker.protocol import CacheRequest, SetDevice
from ui.background import Background
from ui.collector import Collector
from ui.docks import SMALLEST, keep_geometry
from ui.documents import SUFFIXES, Documents
from ui.engine import Engine, MakeClient
from ui.follow import Follower, told
from ui.gallery import Gallery
from ui.graph.actions import GraphActions
from ui.graph.view import GraphView
from ui.keeper import Keeper
from ui.menus import Actions, build_menus, build_tool_bar
from ui.models.drops import Drops, models_in
from ui.models.shelf import Shelf
from ui.models.use import use
from ui.page import Page, as_new
from ui.panels import Panels
from ui.preferences import Preferences, ask_clear
from ui.problems import OFFERS, Trouble
from ui.results import Shot
from ui.running import Running
from ui.runs import Run, Runs
from ui.session import Session
from ui.statusbar import StatusBar
from ui.upgrades import Upgrades

STARTER = "text_to_image.json"


class Window(QMainWindow):
    """Everything a person sees. Owned by the GUI thread; `start` brings the engine up."""

    def __init__(self, make_client: MakeClient, settings: Settings, session: Session) -> None:
        super().__init__()
        self.setWindowTitle("Latent Studio")
        self.setAcceptDrops(True)
        self.setMinimumSize(SMALLEST)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.settings, self.session = settings, session
        self.collector = Collector(self)
        self.background = Background(self)
        self.engine = Engine(make_client, self)
        self.shelf = Shelf(settings, self)
        self.runs = Runs(self.engine, Path(settings.get("output_dir", str(paths.output_dir()))), self)
        self.documents = Documents(settings, self.engine.catalogue, self.background, self)
        self.setCentralWidget(self.documents)
        self.drops = Drops(self.shelf, self.background, lambda: self.engine.catalogue, self)
        self.running = Running(self.runs, lambda: self.documents.page, self)
        self.follower = Follower(self.engine, self.runs, self.documents.page_of, self)
        self.upgrades = Upgrades(self.engine, self.documents.page_of, self)
        self.undo = QUndoGroup(self)
        self.actions_ = Actions(self, self.undo)
        self.bar = StatusBar(settings.get("device", "auto"), self)
        self.setStatusBar(self.bar)
        self._make_panels()
        self.keeper = Keeper(session, self.documents, self.background, lambda: keep_geometry(self), self)
        self.gallery = Gallery(self.engine, self.background, settings, self.strip, self.picture)
        self._connect_actions()
        self._connect_documents()
        self._connect_engine()
        self.panels.lay_out(session.layout())

    # Putting together

    def _make_panels(self) -> None:
        self.panels = panels = Panels(self, self.runs, self.shelf)
        self.picture, self.inspector, self.strip = panels.picture, panels.inspector, panels.strip
        self.problems, self.queue = panels.problems, panels.queue
        self.count = build_tool_bar(self, self.actions_)
        build_menus(
            self,
            self.actions_,
            self._graph_actions,
            panels.toggles(),
            self._fill_recent,
            self.documents.open_template,
        )

    def _graph_actions(self) -> GraphActions | None:
        page = self.documents.page
        return page.view.graph_actions if page is not None else None

    def _connect_actions(self) -> None:
        act, documents = self.actions_, self.documents
        act.new.triggered.connect(documents.new)
        act.open.triggered.connect(documents.ask_open)
        act.save.triggered.connect(lambda: documents.page and documents.save(documents.page))
        act.save_as.triggered.connect(lambda: documents.page and documents.save_as(documents.page))
        act.close.triggered.connect(lambda: documents.close_page(documents.page))
        act.preferences.triggered.connect(self._show_preferences)
        act.quit.triggered.connect(self.close)
        act.run.triggered.connect(lambda: self.running.run())
        act.run_selection.triggered.connect(self._run_selection)
        act.cancel.triggered.connect(lambda: self.runs.current and self.runs.cancel(self.runs.current))
        act.cancel_all.triggered.connect(self.runs.cancel_all)
        act.live.toggled.connect(self.running.set_live)
        act.show_problems.triggered.connect(self._next_problem)
        act.output_folder.triggered.connect(self._show_output)
        act.restart_engine.triggered.connect(self._restart_engine)
        act.clear_cache.triggered.connect(
            lambda: ask_clear(self, lambda: self.engine.send(CacheRequest("clear", clear=True)))
        )
        act.next_panel.triggered.connect(self._next_panel)
        act.about.triggered.connect(self._about)
        self.count.valueChanged.connect(lambda count: setattr(self.running, "count", count))
        self.runs.changed.connect(self._enable)
        self._enable()

    def _connect_documents(self) -> None:
        self.documents.page_opened.connect(self._page_opened)
        self.documents.page_closed.connect(self._page_closed)
        self.documents.page_shown.connect(self._page_shown)
        self.documents.page_retitled.connect(self._retitle)
        self.problems.jump_wanted.connect(self._jump)
        self.problems.action_wanted.connect(self._remedy)
        self.inspector.action_wanted.connect(self._remedy)
        self.problems.counted.connect(self.bar.count_problems)
        self.inspector.jump_wanted.connect(self._jump_beside)
        panels = self.panels
        panels.models.use_wanted.connect(self._use_model)
        panels.models.vocabulary.ended.connect(self._vocabulary_ended)
        self.strip.graph_wanted.connect(self._open_graph_of)
        self.picture.graph_wanted.connect(self._open_graph_of)

    def _connect_engine(self) -> None:
        engine, bar, follower = self.engine, self.bar, self.follower
        engine.catalogue_changed.connect(self._catalogue_changed)
        engine.state_changed.connect(bar.show_state)
        engine.device_changed.connect(bar.show_device)
        engine.memory_changed.connect(bar.show_memory)
        bar.device_chosen.connect(self._choose_device)
        bar.restart_wanted.connect(engine.restart)
        bar.stop_wanted.connect(engine.stop)
        bar.problems_wanted.connect(lambda: self.panels.bring_up("problems"))
        for speaker in (follower, self.gallery, self.documents, self.keeper, self.upgrades, self.drops):
            speaker.said.connect(lambda words, bad: bar.say(words, bad=bad))
        follower.previewed.connect(self._preview)
        follower.pictured.connect(self.gallery.add)
        follower.thumbed.connect(self.gallery.refresh)
        follower.finished.connect(self._run_finished)

    # Life

    def start(self, file: Path | None = None) -> None:
        """Bring back the last session, open `file` if one is given, and start the engine."""
        try:
            self.keeper.restore()
            self.gallery.restore()
            if file is not None:
                self.documents.open(file)
            if not self.documents.count():
                starter = paths.assets_dir() / "templates" / STARTER
                if self.documents.open_template(starter) is None:
                    self.documents.new()
        finally:
            self.engine.start()
            self.shelf.look()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Nothing is asked: what is unsaved is in the journal and there again at the next start."""
        self.hide()
        self.running.stop()
        self.runs.close()
        self.gallery.remember()
        self.keeper.flush()
        self.engine.close()
        self.shelf.close()
        self.panels.models.close_panel()
        self.background.close()
        self.session.close()
        self.collector.stop()
        for page in self.documents.pages():
            page.close_page()
        super().closeEvent(event)

    # Documents

    def _page_opened(self, page: Page) -> None:
        self.undo.addStack(page.editing.stack)
        page.levels.run_to_requested.connect(lambda address: self.running.run((address,)))
        page.levels.selection_changed.connect(lambda: self._show_selection(page))
        page.status.node_changed.connect(lambda address: self._show_status(page, address))
        page.problems_changed.connect(lambda: self._show_problems(page))
        self.upgrades.ask(page)
        page.edited.connect(lambda edit: page is self.documents.page and self.running.changed(edit))

    def _page_closed(self, page: Page) -> None:
        self.undo.removeStack(page.editing.stack)
        self.runs.forget_page(page.key)

    def _page_shown(self, page: Page | None) -> None:
        self._enable()
        if page is None:
            self.setWindowTitle("Latent Studio")
            self.inspector.show_words("Open a workflow, or begin a new one.")
            self.problems.show_troubles((), ())
            return
        self.undo.setActiveStack(page.editing.stack)
        self._retitle(page)
        self._show_selection(page)
        self._show_problems(page)

    def _retitle(self, page: Page) -> None:
        if page is self.documents.page:
            self.setWindowTitle(f"{page.title}{' •' if page.unsaved else ''} — Latent Studio")

    def _show_selection(self, page: Page) -> None:
        if page is not self.documents.page:
            return
        self._enable()
        nodes = page.scene.selected
        if len(nodes) != 1:
            several = f"{len(nodes)} nodes are selected."
            self.inspector.show_words(several if nodes else "Select a node to see its knobs.")
            return
        self._show_status(page, page.scene.address(nodes[0]))
        drawn = page.drawn(page.scene.address(nodes[0]))
        self.inspector.show_node(page.editing, page.scene.name, nodes[0], self.engine.catalogue, drawn)

    def _show_status(self, page: Page, address: str) -> None:
        selected = [page.scene.address(node) for node in page.scene.selected]
        if page is self.documents.page and selected == [address]:
            failures = (one.action for one in page.troubles if one.address == address and one.action)
            action = next(failures, "")
            self.inspector.set_status(told(page.status.node(address)), action, OFFERS.get(action, ""))

    def _show_problems(self, page: Page) -> None:
        if page is self.documents.page:
            packages = self.engine.catalogue.problems
            self.problems.show_troubles(page.troubles, [*page.problems, *packages])
            if len(page.scene.selected) == 1:
                self._show_status(page, page.scene.address(page.scene.selected[0]))

    def _next_problem(self) -> None:
        self.panels.bring_up("problems")
        if self.problems.troubles:
            self.problems.next()

    def _jump(self, trouble: Trouble) -> None:
        page = self.documents.page
        if page is not None:
            page.levels.jump(trouble.graph, trouble.address)

    def _remedy(self, action: str) -> None:
        if action == "t5_vocabulary":
            self.bar.say("Fetching T5's vocabulary…")
            self.panels.models.vocabulary.fetch()

    def _vocabulary_ended(self, trouble: str) -> None:
        self.bar.say(trouble or "T5's vocabulary is there. Run again.", bad=bool(trouble))
        if not trouble:
            for page in self.documents.pages():
                page.forget_remedied("t5_vocabulary")

    def _jump_beside(self, node: str) -> None:
        """Go to a node of the graph in front."""
        page = self.documents.page
        if page is not None:
            page.view.show_node(node)

    def _use_model(self, entry: Entry) -> None:
        page = self.documents.page
        if page is None:
            return
        view, scene = page.view, page.scene
        middle = view.mapToScene(view.viewport().rect().center())
        into = scene.selected[0] if len(scene.selected) == 1 else ""
        node = use(scene, self.engine.catalogue, entry.path, entry.type, middle, into)
        if node:
            view.show_node(node)
        else:
            self.bar.say(f"No installed node loads what {entry.path.name} is.", bad=True)

    def _open_graph_of(self, shot: Shot) -> None:
        if shot.content is not None:
            self.documents.add(as_new(shot.content))
        elif shot.path is not None:
            self.documents.open(shot.path)

    def _fill_recent(self, menu: QMenu) -> None:
        menu.clear()
        for path in self.documents.recent:
            action = menu.addAction(path.name, partial(self.documents.open, path))
            action.setToolTip(str(path))
        if menu.isEmpty():
            menu.addAction("Nothing yet").setEnabled(False)
        else:
            menu.addSeparator()
            menu.addAction("Forget these", self.documents.forget_recent)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event) or models_in(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """A workflow may be dropped anywhere, a model only on the graph it goes into."""
        event.setAccepted(bool(_dropped(event)) or self._graph_below(event) is not None)

    def dropEvent(self, event: QDropEvent) -> None:
        files, view = _dropped(event), self._graph_below(event)
        models = models_in(event) if view is not None else []
        if files or models:
            event.acceptProposedAction()
        for file in files:
            self.documents.open(file)
        if view is not None and models:
            at = view.viewport().mapFrom(self, event.position().toPoint())
            self.drops.drop(view, models, at)

    def _graph_below(self, event: QDropEvent) -> GraphView | None:
        page = self.documents.page
        if page is None:
            return None
        area = page.view.viewport()
        inside = area.rect().contains(area.mapFrom(self, event.position().toPoint()))
        return page.view if inside else None

    # Runs

    def _run_selection(self) -> None:
        page = self.documents.page
        if page is not None and page.scene.selected:
            self.running.run(tuple(map(page.scene.address, page.scene.selected)))

    def _preview(self, run: Run, picture: QImage, words: str) -> None:
        page = self.documents.page
        if page is not None and run.page == page.key:
            self.picture.show_preview(picture, words)

    def _run_finished(self, run: Run) -> None:
        self.picture.end_preview()
        page = self.documents.page
        if page is None or run.page != page.key:
            return
        if len(page.scene.selected) == 1:
            self.inspector.set_drawn(page.drawn(page.scene.address(page.scene.selected[0])))
        if run.standing == "failed":
            self.panels.bring_up("problems")

    def _enable(self) -> None:
        page, act = self.documents.page, self.actions_
        for action in (act.save, act.save_as, act.close, act.run, act.live):
            action.setEnabled(page is not None)
        act.run_selection.setEnabled(page is not None and bool(page.scene.selected))
        act.cancel.setEnabled(self.runs.current is not None)
        act.cancel_all.setEnabled(bool(self.runs.sent or self.runs.waiting))

    # Engine

    def _catalogue_changed(self, catalogue: Catalogue) -> None:
        self.documents.set_catalogue(catalogue)
        for page in self.documents.pages():
            self.upgrades.ask(page)
        self.inspector.set_catalogue(catalogue)

    def _choose_device(self, device: str) -> None:
        self.settings.put("device", device)
        self.engine.send(SetDevice(device))

    def _restart_engine(self) -> None:
        if self.engine.state.state == "stopped":
            self.engine.restart()
        else:
            self.engine.stop()

    # Small things

    def _next_panel(self) -> None:
        page = self.documents.page
        self.panels.next_from(self.focusWidget(), page.view if page is not None else None)

    def _show_preferences(self) -> None:
        dialog = Preferences(self.engine, self.settings, self.runs.output_dir, self)
        dialog.output_dir_chosen.connect(self._set_output)
        dialog.open()

    def _set_output(self, folder: str) -> None:
        self.runs.output_dir = Path(folder)
        self.settings.put("output_dir", folder)

    def _show_output(self) -> None:
        self.runs.output_dir.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.runs.output_dir)))

    def _about(self) -> None:
        packages = self.engine.catalogue.packages
        listed = "\n".join(f"{name} {version}" for name, version in sorted(packages.items()))
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setText("Latent Studio")
        box.setInformativeText(f"A node graph for latent diffusion.\n\nNode packages\n{listed}")
        box.open()


def _dropped(event: QDropEvent) -> list[Path]:
    files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [file for file in files if file.suffix.lower() in SUFFIXES]

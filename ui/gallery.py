"""Results in the window: the strip, the large picture, and the files they are saved as."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader
from PySide6.QtWidgets import QFileDialog

from studio.errors import FileError
from studio.files import png, workflow
from studio.settings import Settings
from studio.types import Json
from ui.background import Background
from ui.engine import Engine
from ui.picture import PicturePanel
from ui.results import ResultStrip, Shot
from ui.runs import Run

KEPT_FULL = 6
REMEMBERED = 48
THUMB_PX = 256
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class Gallery(QObject):
    """Brings pictures to the strip and the panel, from the engine or from files. GUI thread."""

    said = Signal(str, bool)

    def __init__(
        self,
        engine: Engine,
        background: Background,
        settings: Settings,
        strip: ResultStrip,
        panel: PicturePanel,
    ) -> None:
        super().__init__(panel)
        self._engine, self._background, self._settings = engine, background, settings
        self._strip, self._panel = strip, panel
        self._full: OrderedDict[Shot, QImage] = OrderedDict()
        self._wanted: Shot | None = None
        strip.picked.connect(self.show)
        for source in (strip, panel):
            source.save_wanted.connect(self.save_as)

    def add(self, _run: Run, shot: Shot) -> None:
        """A run gave a picture."""
        self._strip.add(shot)
        if shot.path is not None and shot.thumb.isNull():
            self._thumb_from_file(shot)
        if shot.index == 0:
            self._strip.show_first()

    def refresh(self, shot: Shot) -> None:
        """A thumbnail came, or the name of a file."""
        self._strip.refresh(shot)
        if shot is self._panel.shot and not self._panel.previewing:
            self._panel.show_shot(shot, self._panel.full)

    def show(self, shot: Shot) -> None:
        """Show a result large as soon as it is there in full."""
        self._wanted = shot
        known = self._full.get(shot)
        if known is not None:
            self._panel.show_shot(shot, known)
        elif shot.key:
            self._engine.fetch(shot.key, shot.output, shot.index, partial(self._from_engine, shot))
        elif shot.path is not None:
            self._read(shot)

    def remember(self) -> None:
        """Keep the names of saved pictures for the next start."""
        paths: dict[Json, None] = dict.fromkeys(
            str(shot.path) for shot in self._strip.shots() if shot.path is not None
        )
        newest: list[Json] = [*paths][:REMEMBERED]
        self._settings.put("results", newest)

    def restore(self) -> None:
        """Bring back what was saved before."""
        listed: list[object] = self._settings.get("results", list[object]())
        for name in reversed(listed):
            path = Path(name) if isinstance(name, str) else None
            if path is not None and path.is_file():
                shot = Shot(path=path)
                self._strip.add(shot)
                self._thumb_from_file(shot)
        self._strip.show_first()

    def save_as(self, shot: Shot) -> None:
        """Let a person choose where to put a picture; the graph that made it goes with it."""
        folder = self._settings.get("picture_folder", str(Path.home()))
        dialog = QFileDialog(self._panel.window(), "Save the picture as", folder, "PNG picture (*.png)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("png")
        dialog.selectFile(shot.path.name if shot.path else f"{shot.title or 'picture'}.png")
        dialog.fileSelected.connect(lambda name: self.save(shot, Path(name)))
        dialog.open()

    def save(self, shot: Shot, target: Path) -> None:
        """Write a picture to `target`, in the background."""
        self._settings.put("picture_folder", str(target.parent))
        if shot.path is not None and shot.path.is_file():
            self._background.do(partial(_copied, shot.path, target), self._saved, self._refused)
            return
        if shot.key:
            self._engine.fetch(shot.key, shot.output, shot.index, partial(self._write, shot, target))
        else:
            self.said.emit("The picture is no longer where it was saved.", True)

    def _write(self, shot: Shot, target: Path, picture: QImage | None, why: str) -> None:
        if picture is None:
            self.said.emit(why, True)
            return
        self._background.do(partial(_written, shot, picture, target), self._saved, self._refused)

    def _saved(self, path: Path) -> None:
        self.said.emit(f"Saved {path}.", False)

    def _refused(self, error: Exception) -> None:
        self.said.emit(f"The picture was not saved. {error}", True)

    def _from_engine(self, shot: Shot, picture: QImage | None, why: str) -> None:
        if picture is not None:
            self._keep(shot, picture)
        elif shot.path is not None:
            self._read(shot)
        else:
            self._give_up(shot, why)

    def _read(self, shot: Shot) -> None:
        self._background.do(
            partial(_read, str(shot.path), QSize()),
            lambda picture: self._keep(shot, picture),
            lambda error: self._give_up(shot, str(error)),
        )

    def _give_up(self, shot: Shot, why: str) -> None:
        if self._wanted is shot and shot not in self._full:
            self._panel.tell(why)

    def _keep(self, shot: Shot, picture: QImage) -> None:
        self._full[shot] = picture
        while len(self._full) > KEPT_FULL:
            self._full.popitem(last=False)
        if self._wanted is shot:
            self._panel.show_shot(shot, picture)

    def _thumb_from_file(self, shot: Shot) -> None:
        def receive(picture: QImage) -> None:
            shot.thumb = picture
            self._strip.refresh(shot)

        self._background.do(
            partial(_read, str(shot.path), QSize(THUMB_PX, THUMB_PX)), receive, lambda _error: None
        )


def _read(name: str, within: QSize) -> QImage:
    reader = QImageReader(name)
    reader.setAutoTransform(True)
    if within.isValid():
        reader.setScaledSize(reader.size().scaled(within, Qt.AspectRatioMode.KeepAspectRatio))
    picture = reader.read()
    if picture.isNull():
        raise FileError(f"“{Path(name).name}” cannot be shown: {reader.errorString()}.")
    return picture


def _copied(source: Path, target: Path) -> Path:
    if source != target:
        shutil.copyfile(source, target)
    return target


def _written(shot: Shot, picture: QImage, target: Path) -> Path:
    plain = picture.convertToFormat(QImage.Format.Format_RGBA8888)
    rows: Pixels = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.width(), 4)
    pixels = np.ascontiguousarray(rows if picture.hasAlphaChannel() else rows[:, :, :3])
    document = workflow.to_json(shot.content) if shot.content else None
    png.save(target, pixels, document)
    return target

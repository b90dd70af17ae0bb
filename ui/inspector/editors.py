"""One editor per kind of knob."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points

from PySide6.QtWidgets import QWidget

from studio.catalogue import Catalogue
from studio.spec import KnobSpec, choices_of
from studio.types import Json
from ui.inspector.editor import Editor
from ui.inspector.numbers import NumberEditor
from ui.inspector.paths import PathEditor
from ui.inspector.seed import SeedEditor
from ui.inspector.words import ChoiceEditor, JsonEditor, LineEditor, ParagraphEditor, SwitchEditor

Maker = Callable[[KnobSpec, Json, QWidget | None], Editor]
logger = logging.getLogger(__name__)


def make_editor(knob: KnobSpec, value: Json, catalogue: Catalogue, parent: QWidget | None = None) -> Editor:
    """Return an editor that shows `value`; it emits `previewed` and `committed` with the new one.

    Kinds that neither we nor an installed package (entry-point group ``studio.editors``) know are shown
    as JSON.
    """
    match knob.kind:
        case "int" | "float":
            editor: Editor = NumberEditor(knob, value, parent)
        case "bool":
            editor = SwitchEditor(knob, value, parent)
        case "text" if knob.options.get("multiline"):
            editor = ParagraphEditor(knob, value, parent)
        case "text":
            editor = LineEditor(knob, value, parent)
        case "choice":
            editor = ChoiceEditor(knob, value, choices_of(knob, catalogue.choices) or (), parent)
        case "seed":
            editor = SeedEditor(knob, value, parent)
        case "file":
            editor = PathEditor(knob, value, parent)
        case _:
            editor = (_custom(knob.kind) or JsonEditor)(knob, value, parent)
    editor.setToolTip(knob.doc)
    return editor


@cache
def _custom(kind: str) -> Maker | None:
    for point in entry_points(group="studio.editors", name=kind):
        try:
            return point.load()
        except Exception as error:  # noqa: BLE001 - a package of someone else's; its knob falls back to JSON
            logger.warning("The editor for “%s” of %s could not be loaded: %s", kind, point.value, error)
    return None

"""How the application looks: colours with real contrast, fonts, metrics of panels, the style sheet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from string import Template

from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from studio.paths import assets_dir

FAMILIES = ("Inter", "Segoe UI", "SF Pro Text", "Noto Sans", "DejaVu Sans")


@dataclass(frozen=True, slots=True)
class Colours:
    """Every colour of the application, ``#rrggbb``; text colours reach 4.5:1 on every ground they lie on."""

    canvas: str = "#15171c"
    grid: str = "#262a33"
    panel: str = "#1c1f26"
    raised: str = "#272b35"
    hover: str = "#323845"
    field: str = "#14161b"
    border: str = "#3b414f"
    outline: str = "#0c0d10"
    text: str = "#eceef4"
    muted: str = "#a9b1c0"
    disabled: str = "#737b8a"
    accent: str = "#6ea8fe"
    accent_ground: str = "#2c4a7c"
    on_accent: str = "#0b1220"
    focus: str = "#a8cbff"
    node: str = "#23272f"
    knob: str = "#191c22"
    fill: str = "#2f4260"
    frame: str = "#3a4660"
    note: str = "#4a4530"
    good: str = "#63d297"
    warning: str = "#ffc145"
    bad: str = "#ff7b7b"
    running: str = "#6ea8fe"
    cached: str = "#8fa3c2"
    bypass: str = "#d48ef0"


DARK = Colours()


@dataclass(frozen=True, slots=True)
class Metrics:
    """Lengths of panels in device-independent pixels."""

    spacing: int = 8
    margin: int = 10
    radius: int = 6
    icon: int = 18
    text_px: int = 13
    small_px: int = 11


METRICS = Metrics()


def contrast(front: str, ground: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    lighter, darker = sorted((_luminance(front), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@lru_cache(maxsize=512)
def mixed(front: str, ground: str, share: float) -> QColor:
    """`front` laid over `ground` with `share` 0–1 of it."""
    a, b = QColor(front), QColor(ground)
    return QColor(
        round(a.red() * share + b.red() * (1 - share)),
        round(a.green() * share + b.green() * (1 - share)),
        round(a.blue() * share + b.blue() * (1 - share)),
    )


def font(pixels: int, *, strong: bool = False) -> QFont:
    """The application's font at a pixel size; `strong` for titles."""
    made = QFont()
    made.setFamilies(list(FAMILIES))
    made.setPixelSize(pixels)
    made.setWeight(QFont.Weight.DemiBold if strong else QFont.Weight.Normal)
    return made


def apply(app: QApplication) -> None:
    """Give the whole application the dark theme."""
    app.setStyle("Fusion")
    app.setPalette(_palette(DARK))
    app.setFont(font(METRICS.text_px))
    app.setStyleSheet(style_sheet(DARK))


def _palette(c: Colours) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for which, colour in {
        role.Window: c.panel,
        role.WindowText: c.text,
        role.Base: c.field,
        role.AlternateBase: c.panel,
        role.ToolTipBase: c.raised,
        role.ToolTipText: c.text,
        role.Text: c.text,
        role.PlaceholderText: c.muted,
        role.Button: c.raised,
        role.ButtonText: c.text,
        role.BrightText: c.bad,
        role.Link: c.accent,
        role.Highlight: c.accent_ground,
        role.HighlightedText: c.text,
        role.Accent: c.accent,
        role.Light: c.hover,
        role.Midlight: c.raised,
        role.Mid: c.border,
        role.Dark: c.outline,
        role.Shadow: c.outline,
    }.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(c.disabled))
    return palette


def style_sheet(c: Colours) -> str:
    """The style sheet of panels, menus and fields."""
    chevron = (assets_dir() / "icons" / "chevron.svg").as_posix()
    return Template(_SHEET).substitute(asdict(c), chevron=chevron)


_SHEET = """
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 5px 7px; }
QMainWindow, QDialog { background: $panel; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QMainWindow::separator { background: $outline; width: 4px; height: 4px; }
QMainWindow::separator:hover { background: $accent_ground; }
QDockWidget { color: $muted; font-weight: 600; }
QDockWidget::title { background: $panel; padding: 7px 10px; border-bottom: 1px solid $outline; }
QMenuBar { background: $panel; padding: 2px 4px; }
QMenuBar::item { padding: 5px 9px; border-radius: 4px; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $raised; border: 1px solid $border; padding: 5px; }
QMenu::item { padding: 6px 26px 6px 22px; border-radius: 4px; }
QMenu::item:selected { background: $accent_ground; }
QMenu::item:disabled { color: $disabled; }
QMenu::separator { height: 1px; background: $border; margin: 5px 8px; }
QToolBar { background: $panel; border: none; border-bottom: 1px solid $outline; spacing: 4px;
    padding: 5px 8px; }
QToolBar::separator { background: $border; width: 1px; margin: 4px 5px; }
QToolButton { padding: 5px 8px; border-radius: 5px; border: 1px solid transparent; }
QToolButton:hover { background: $hover; }
QToolButton:pressed, QToolButton:checked { background: $accent_ground; }
QToolButton:focus { border-color: $focus; }
QPushButton { background: $raised; border: 1px solid $border; border-radius: 5px;
    padding: 6px 14px; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $accent_ground; }
QPushButton:focus { border-color: $focus; }
QPushButton:disabled { color: $disabled; background: $panel; }
QPushButton[primary="true"] { background: $accent; color: $on_accent; border-color: $accent;
    font-weight: 600; }
QPushButton[primary="true"]:hover { background: $focus; }
QPushButton[primary="true"]:disabled { background: $raised; color: $disabled;
    border-color: $border; }
QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox { background: $field; color: $text;
    border: 1px solid $border; border-radius: 4px; padding: 4px 7px;
    selection-background-color: $accent_ground; selection-color: $text; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QAbstractSpinBox:focus, QComboBox:focus {
    border-color: $focus; }
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled { color: $disabled; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url("$chevron"); width: 14px; height: 14px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $border;
    selection-background-color: $accent_ground; outline: none; }
QListView, QTreeView, QTableView { background: $field; border: 1px solid $border;
    border-radius: 4px; outline: none; }
QListView::item, QTreeView::item { padding: 4px 6px; border-radius: 3px; }
QListView::item:hover, QTreeView::item:hover { background: $hover; }
QListView::item:selected, QTreeView::item:selected { background: $accent_ground; color: $text; }
QHeaderView::section { background: $panel; color: $muted; border: none; padding: 5px 8px; }
QStatusBar { background: $panel; color: $muted; border-top: 1px solid $outline; }
QStatusBar::item { border: none; }
QScrollArea { border: none; }
QTabBar::tab { background: $panel; color: $muted; padding: 7px 14px; border: none;
    border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabBar::tab:hover { color: $text; background: $hover; }
QSplitter::handle { background: $outline; }
QProgressBar { background: $field; border: 1px solid $border; border-radius: 4px;
    text-align: center; }
QProgressBar::chunk { background: $accent_ground; border-radius: 3px; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: 4px; margin: 2px; min-width: 28px;
    min-height: 28px; }
QScrollBar::handle:hover { background: $disabled; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
"""

"""A line of text in a narrow place."""

from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from ui.elided import ElidedLabel


def inked(label: ElidedLabel, width: int) -> bool:
    label.setFixedSize(width, 24)
    picture = label.grab().toImage()
    empty = QColor(picture.pixel(picture.width() - 1, 0))
    return any(
        QColor(picture.pixel(x, y)) != empty for x in range(picture.width()) for y in range(picture.height())
    )


def test_a_text_is_shortened_until_nothing_of_it_can_be_read(qtbot: QtBot) -> None:
    label = ElidedLabel()
    qtbot.addWidget(label)
    label.setText("128 × 128, Show image")
    assert inked(label, 120)
    assert not inked(label, 24)
    label.setText("1")
    assert inked(label, 24), "a short text is whole"

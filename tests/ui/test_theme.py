import math
from itertools import combinations

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from studio.registry import discover
from studio.types import CORE_WIRES
from ui.theme import DARK, contrast, font, mixed, style_sheet

LEAST = 20.0
"""Steps of 8-bit red, green and blue by which two wires that meet can still be told apart."""


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#777777") == pytest.approx(1.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("ground", [DARK.canvas, DARK.panel, DARK.raised, DARK.field, DARK.node, DARK.knob])
def test_text_can_be_read_on_every_ground(ground: str) -> None:
    assert contrast(DARK.text, ground) >= 7.0
    assert contrast(DARK.muted, ground) >= 4.5
    for colour in (DARK.accent, DARK.good, DARK.warning, DARK.bad, DARK.focus):
        assert contrast(colour, ground) >= 4.5


@pytest.mark.parametrize("ground", [DARK.hover, DARK.accent_ground, DARK.fill])
def test_text_can_be_read_on_marked_grounds(ground: str) -> None:
    assert contrast(DARK.text, ground) >= 4.5


def test_titles_can_be_read_on_the_header_of_every_wire_type() -> None:
    for wire in CORE_WIRES:
        assert contrast(DARK.text, mixed(wire.colour, DARK.node, 0.26).name()) >= 4.5


def test_wires_stand_out_from_the_canvas() -> None:
    for wire in CORE_WIRES:
        assert contrast(wire.colour, DARK.canvas) >= 3.0
    assert contrast(DARK.on_accent, DARK.accent) >= 4.5
    assert contrast(DARK.muted, DARK.fill) >= 4.5, "the name of a knob lies on its slider"


def test_the_style_sheet_names_colours_only_by_the_theme(qapp: QApplication) -> None:
    assert style_sheet(DARK).count("{") == style_sheet(DARK).count("}")
    assert font(13, strong=True).weight() > font(13).weight()


def test_no_two_types_of_wire_are_of_nearly_the_same_colour() -> None:
    wires = discover().catalogue().wires
    colours = {name: QColor(wire.colour) for name, wire in wires.items()}

    def apart(one: QColor, other: QColor) -> float:
        pairs = ((one.red(), other.red()), (one.green(), other.green()), (one.blue(), other.blue()))
        return math.dist(*zip(*pairs, strict=True))

    near = [pair for pair in combinations(colours, 2) if apart(colours[pair[0]], colours[pair[1]]) < LEAST]
    assert not near

from dataclasses import replace

from pytestqt.qtbot import QtBot

from studio.declare import node
from studio.registry import Registry
from tests import toys
from tests.ui.conftest import OpenWindow, content, page_of


@node("constant", category="Toys", version=2)
def constant(*, amount: int = 1) -> int:
    """Give a whole number.

    Args:
        amount: The number, called value before.
    """
    return amount


@constant.upgrade(1)
def constant_1(params: dict[str, object]) -> dict[str, object]:
    return {"amount": params["value"]}


def newer_registry() -> Registry:
    made = toys.registry()
    spec = replace(constant.spec, type="toys/constant")
    made.nodes["toys/constant"] = replace(constant, spec=spec)
    return made


def test_old_nodes_are_brought_up_to_date_by_one_edit(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(content("constant", "show", constant_value=7), registry=newer_registry())
    page = page_of(window)
    qtbot.waitUntil(lambda: page.content.root.nodes["constant"].version == 2, timeout=10_000)
    assert page.content.root.nodes["constant"].params == {"amount": 7}
    assert page.editing.stack.undoText() == "Bring old nodes up to date"

"""Arithmetic typed into a number field: ``512*2``, or ``*2`` and ``+1`` on what is there."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

MAX_LENGTH = 80
MAX_MAGNITUDE = 10**30
_SIGNS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def evaluate(text: str, current: float) -> int | float | None:
    """Return what `text` amounts to, None if it is no arithmetic.

    A leading ``+``, ``*`` or ``/`` works on `current`; a leading ``-`` is the sign of a number, since
    that is what people type.
    """
    text = text.strip().replace(",", ".")
    if not text or len(text) > MAX_LENGTH:
        return None
    if text[0] in "+*/":
        text = f"({current!r}){text}"
    try:
        result = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None
    return result if abs(result) <= MAX_MAGNITUDE else None


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("a truth value is no number")
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(left), _value(right))
        case _:
            raise ValueError("not arithmetic")

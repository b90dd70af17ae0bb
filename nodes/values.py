"""Nodes that give a value to several others at once."""

from __future__ import annotations

from typing import Annotated

from studio.api import Text, node


@node("number", category="Values", instant=True, synonyms=("float", "PrimitiveFloat", "constant"))
def number(*, value: float = 0.0) -> float:
    """Give a number.

    Args:
        value: The number.
    """
    return value


@node("integer", category="Values", instant=True, synonyms=("int", "PrimitiveInt", "whole number"))
def integer(*, value: int = 0) -> int:
    """Give a whole number; it may drive a seed.

    Args:
        value: The number.
    """
    return value


@node("text", category="Values", instant=True, synonyms=("string", "PrimitiveString", "prompt"))
def text(*, value: Annotated[str, Text(multiline=True)] = "") -> str:
    """Give a text.

    Args:
        value: The text.
    """
    return value


@node("join_text", category="Values", instant=True, synonyms=("StringConcatenate", "concatenate", "append"))
def join_text(
    *,
    first: Annotated[str, Text(multiline=True)] = "",
    second: Annotated[str, Text(multiline=True)] = "",
    between: str = ", ",
) -> str:
    """Put two texts one after the other; an empty one leaves no separator behind.

    Args:
        first: What comes first.
        second: What comes after.
        between: What stands between them.
    """
    return between.join(part for part in (first, second) if part)

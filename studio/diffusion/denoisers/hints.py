"""What conditioning may bring beside words, refused where a model would not look at it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from studio.errors import NodeError
from studio.types import ConditioningEntry

_TITLES = {
    "concat": "channels beside the latent",
    "reference": "pictures to look at",
    "unclip": "a picture as an image encoder sees it",
}


def check(entries: Iterable[ConditioningEntry], taken: Container[str]) -> None:
    """Refuse hints that a model does not take; names that are not known here are left to their family.

    Raises:
        NodeError: An entry brings some.
    """
    for entry in entries:
        for name in entry.hints:
            if name in _TITLES and name not in taken:
                raise NodeError(
                    f"The conditioning brings {_TITLES[name]}, which this model does not take.",
                    "Leave out the node that adds them, or choose a model made for it.",
                    socket="positive",
                )

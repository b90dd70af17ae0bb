"""The ladder of the container: each step turns a file of one format into the next, before it is parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from studio.errors import FileError
from studio.types import Json

FORMAT = 1
Migration = Callable[[dict[str, Json]], dict[str, Json]]
MIGRATIONS: dict[int, Migration] = {}
"""Format → pure function to the next format."""


def migrate(
    data: dict[str, Json], ladder: Mapping[int, Migration] = MIGRATIONS, current: int = FORMAT
) -> dict[str, Json]:
    """Return `data` in format `current`.

    Raises:
        FileError: It names no format, or one that is newer than `current`.
    """
    found = data.get("format")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise FileError("It is no workflow of Latent Studio: it names no format.")
    if found > current:
        raise FileError(
            f"It was saved by a newer version of Latent Studio (format {found}, this one reads {current}).",
            "Update Latent Studio to open it.",
        )
    for step in range(found, current):
        data = {**ladder[step](data), "format": step + 1}
    return data

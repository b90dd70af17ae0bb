"""What a person chose, kept between starts: small JSON values by name, in one file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from studio import paths
from studio.errors import FileError
from studio.files import atomic

if TYPE_CHECKING:
    from studio.types import Json

MAX_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Settings:
    """Values by name, read once and written at every change. Owned by one thread.

    A file that cannot be read is set aside as ``settings.broken.json`` and the defaults hold: settings
    never keep the application from starting.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or paths.config_dir() / "settings.json"
        self._values = self._read()

    def get(self, name: str, default: T) -> T:
        """The value of `name` if it is of the same type as `default`; else `default`."""
        value = self._values.get(name)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            return cast(T, float(value))
        return cast(T, value) if type(value) is type(default) else default

    def put(self, name: str, value: Json) -> None:
        """Keep `value`; a disk that refuses costs the setting at the next start and nothing now."""
        if self._values.get(name) == value and name in self._values:
            return
        self._values[name] = value
        data = json.dumps(self._values, indent=2, sort_keys=True).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(self.path, data)
        except (OSError, FileError) as error:
            _log.info("settings were not written: %s", error)

    def _read(self) -> dict[str, Json]:
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            values: object = json.loads(data)
            if not isinstance(values, dict):
                raise TypeError("not an object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, RecursionError) as error:
            _log.info("settings in %s cannot be read and were set aside: %s", self.path, error)
            self._set_aside()
            return {}
        return cast("dict[str, Json]", values)

    def _set_aside(self) -> None:
        try:
            self.path.replace(self.path.with_suffix(".broken.json"))
        except OSError as error:
            _log.info("%s stays where it is: %s", self.path, error)

"""Names of saved files: patterns filled in, kept inside their folder, and never one file over another."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from studio.context import RunFacts
from studio.errors import NodeError

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_VALUE_CHARACTERS = 80
_NAME_BYTES = 240
_DIGITS = 5


class Naming:
    """A pattern for file names, in a folder.

    ``{date}``, ``{time}`` (of the run), ``{counter}``, ``{seed}`` (of the first node that has one) and
    ``{node.knob}`` are filled in; a slash makes a folder. Without a counter, a name that is taken
    gets one appended.
    """

    def __init__(self, pattern: str, folder: str, facts: RunFacts) -> None:
        """Fill in all but the counter.

        Raises:
            NodeError: The pattern names something unknown, or leads out of the folder.
        """
        place = Path(folder).expanduser()
        if ".." in place.parts:
            raise NodeError("The folder leads upwards (“..”).", "Give it in full.", socket="folder")
        self._folder = facts.output_dir / place

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name == "counter":
                return match[0]
            values = _values(facts)
            if name not in values:
                known = ", ".join(f"{{{item}}}" for item in ["counter", *values])
                title = f"The file name has {{{name}}}, which is nothing known."
                raise NodeError(title, f"Known: {known}.", socket="name")
            return _fit(values[name])

        self._parts = _safe(_PLACEHOLDER.sub(fill, pattern))
        self._counted = "{counter}" in pattern

    @contextmanager
    def reserve(self, suffix: str) -> Generator[Path]:
        """Give a path that no other process can be given, as an empty file; it goes if the body fails.

        Raises:
            NodeError: The folder or the file cannot be made.
        """
        path = self._take(suffix)
        try:
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _take(self, suffix: str) -> Path:
        for number in itertools.count(self._first(suffix)):
            path = self._path(number, suffix)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError as error:
                if not path.exists() and not path.is_symlink():
                    raise _refused(path, error) from error
                continue
            except OSError as error:
                raise _refused(path, error) from error
            return path
        raise AssertionError("the count has no end")

    def _path(self, number: int, suffix: str) -> Path:
        digits = f"{number:0{_DIGITS}}"
        *folders, name = (part.replace("{counter}", digits) for part in self._parts)
        if not self._counted and number > 1:
            name = f"{name}_{digits}"
        return self._folder.joinpath(*folders, name + suffix)

    def _first(self, suffix: str) -> int:
        """Number behind the largest in use, so that thousands of files need not be tried one by one."""
        if not self._counted or "{counter}" not in self._parts[-1]:
            return 1
        path = self._path(1, suffix)
        pattern = re.escape(self._parts[-1] + suffix).replace(r"\{counter\}", r"(\d{1,12})", 1)
        pattern = pattern.replace(r"\{counter\}", r"\d+")
        try:
            taken = [re.fullmatch(pattern, name) for name in os.listdir(path.parent)]
        except OSError:
            return 1
        return max((int(match[1]) for match in taken if match), default=0) + 1


def _values(facts: RunFacts) -> dict[str, str]:
    seeds = (str(knobs["seed"]) for knobs in facts.knobs.values() if "seed" in knobs)
    seed = next(seeds, None)
    values = {"date": f"{facts.started:%Y-%m-%d}", "time": f"{facts.started:%H-%M-%S}"}
    if seed is not None:
        values["seed"] = seed
    for node, knobs in facts.knobs.items():
        for knob, value in knobs.items():
            values[f"{node}.{knob}"] = str(value)
    return values


def _fit(value: str) -> str:
    """A value as part of a file's name."""
    return _UNFIT.sub("_", value).strip(" .")[:_VALUE_CHARACTERS].strip(" .") or "_"


def _safe(pattern: str) -> list[str]:
    """Folders and name of a filled-in pattern, each fit for any file system."""
    parts = [part.strip() for part in re.split(r"[/\\]", pattern)]
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", pattern):
        raise NodeError(
            f"The file name “{pattern}” leads out of the folder, or is empty.",
            "Use the folder knob for another place.",
            socket="name",
        )
    fitted = [_UNFIT.sub("_", part).rstrip(" .") for part in parts if part not in ("", ".")]
    if not fitted or not fitted[-1] or parts[-1] in ("", "."):
        raise NodeError("The file name is empty.", "Give it a name, such as {date}_{counter}.", socket="name")
    for part in fitted:
        if len(part.encode()) > _NAME_BYTES:
            raise NodeError(f"The file name “{part[:40]}…” is too long.", "Shorten it.", socket="name")
    return [f"_{part}" if _RESERVED.fullmatch(part) else part for part in fitted]


def _refused(path: Path, error: OSError) -> NodeError:
    return NodeError(
        f"{path} cannot be written: {error.strerror}.", "Choose another folder.", socket="folder"
    )

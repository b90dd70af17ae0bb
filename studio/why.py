"""Why a node runs: its key's ingredients beside those of the document's last run, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from studio.binding import NAMED
from studio.cache.store import Store
from studio.types import Json

FIRST = "first run"
GONE = "its result was no longer kept"
GIVES_ON = "it gives on what is computed anew"
SINK = "it writes a file, and always runs"
_LONG = 40


def why(now: Mapping[str, Json], before: Mapping[str, Json] | None) -> str:
    """What differs between two sets of ingredients, as a short phrase.

    Args:
        now: ``type``, ``version``, ``knobs``, ``inputs`` (name → [ids, from whom]), ``files``, ``numerics``.
        before: The same of the last run; None if there was none.
    """
    if not before:
        return FIRST
    told: list[str] = []
    if now.get("type") != before.get("type"):
        told.append(f"the node was a {before.get('type')}")
    elif now.get("version") != before.get("version"):
        told.append(f"{now.get('type')} is now version {now.get('version')}")
    told.extend(_knobs(_part(now, "knobs"), _part(before, "knobs")))
    told.extend(_inputs(_part(now, "inputs"), _part(before, "inputs")))
    for name, digest in _part(now, "files").items():
        old = _part(before, "files").get(name)
        if old not in (None, digest) and _part(now, "knobs").get(name) == _part(before, "knobs").get(name):
            what = f"“{name.removeprefix(NAMED)}”" if name.startswith(NAMED) else f"at “{name}”"
            told.append(f"the file {what} changed")
    if now.get("numerics") != before.get("numerics"):
        told.append(f"computed on {now.get('numerics') or 'no device'}, before on {before.get('numerics')}")
    return "; ".join(told) or GONE


def _part(ingredients: Mapping[str, Json], name: str) -> dict[str, Json]:
    part = ingredients.get(name)
    return part if isinstance(part, dict) else {}


def _knobs(now: Mapping[str, Json], before: Mapping[str, Json]) -> list[str]:
    return [
        f"“{name}” {_shown(before[name])} → {_shown(value)}" if name in before else f"“{name}” is new"
        for name, value in now.items()
        if before.get(name) != value or type(before.get(name)) is not type(value)
    ]


def _inputs(now: Mapping[str, Json], before: Mapping[str, Json]) -> list[str]:
    told: list[str] = []
    for name, item in now.items():
        if name not in before:
            told.append(f"“{name}” was wired")
        elif before[name] != item:
            (_, new), (_, old) = _pair(item), _pair(before[name])
            came = f" now comes from {new}, not {old}" if new != old else f" from {new} changed"
            told.append(f"“{name}”{came}")
    told.extend(f"“{name}” was unwired" for name in before if name not in now)
    return told


def _pair(item: Json) -> tuple[Json, Json]:
    """Ids, and from whom; of a record that another version wrote, neither."""
    return (item[0], item[1]) if isinstance(item, list) and len(item) == 2 else (None, None)


def _shown(value: Json) -> str:
    text = str(value)
    if isinstance(value, str):
        text = f"“{value}”"
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


class LastKeys:
    """The ingredients of each node's last key, by document; on disk, so that any process can tell why."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, Json]] = {}

    def of(self, document: str) -> dict[str, Json]:
        """Address → ingredients, as of the document's last run."""
        if document not in self._known:
            record = self._store.record(f"last/{document}")
            self._known[document] = record if isinstance(record, dict) else {}
        return self._known[document]

    def keep(self, document: str, ingredients: Mapping[str, Json]) -> None:
        """Remember a run's ingredients over those of earlier runs."""
        if ingredients:
            self._known[document] = {**self.of(document), **ingredients}
            self._store.put_record(f"last/{document}", cast("Json", self._known[document]))

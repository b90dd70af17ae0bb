"""What planning and calls stand on: functions, files, and the values that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from studio.cache import header
from studio.cache.header import ABSENT, OutputHeader
from studio.cache.store import Store
from studio.calls import Ref
from studio.context import Context
from studio.declare import NodeFunction
from studio.files_named import FileDigests
from studio.types import Json


class Gone(Exception):  # noqa: N818 - control flow within planning and calls
    """The outputs of the call `key` are not there, or no longer."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class Ground:
    """What planning and calls stand on.

    Attributes:
        functions: Node type → function.
        choices: Extension kind → names.
        store: Where results are kept.
        files: Digests of files.
        numerics: Names what moves the last bits of nodes that use weights; asked once such a node is met.
        context: Address, key → context for a call.
        cancelled: Whether the run was cancelled.
        draws: Address → knob → value drawn for this run.
        base_dir: Where relative file names start.
        held: Outputs of calls made in this run, by key, while somebody waits for them: they are there even
            where the store has no room for them.
    """

    functions: Mapping[str, NodeFunction[..., Any]]
    choices: Mapping[str, tuple[str, ...]]
    store: Store
    files: FileDigests
    numerics: Callable[[], str]
    context: Callable[[str, str], Context]
    cancelled: Callable[[], bool]
    draws: Mapping[str, Mapping[str, Json]]
    base_dir: Path | None = None
    held: dict[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])

    def is_there(self, key: str) -> bool:
        """Whether the call's outputs need not be computed."""
        return key in self.held or self.store.header(key) is not None

    def about(self, ref: Ref) -> OutputHeader:
        """What keys need to know of the output that `ref` names.

        Raises:
            Gone: It is not there.
        """
        known = self.store.header(ref.call)
        if known is None and ref.call in self.held:
            known = header.of(self.held[ref.call], 0.0)
        if known is None:
            raise Gone(ref.call)
        found = known.outputs.get(ref.output)
        if found is None or (ref.kind == "list" and found.elements is None):
            self.store.forget(ref.call)  # of a node that had other outputs under the same version
            raise Gone(ref.call)
        return found

    def value(self, ref: Ref) -> object:
        """The value itself.

        Raises:
            Gone: It is not there.
        """
        if ref.value is not ABSENT:
            return ref.value
        given = self.held.get(ref.call)
        if given is None:
            given = self.store.load(ref.call)
        if given is None:
            raise Gone(ref.call)
        try:
            value = given[ref.output]
            return value if ref.index is None else cast("list[object]", value)[ref.index]
        except (KeyError, IndexError):
            self.store.forget(ref.call)
            raise Gone(ref.call) from None

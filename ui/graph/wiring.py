"""The wires of one graph, found by either end without a scan. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from studio.graph import Socket


class Wiring:
    """Wires by the input they end at, with an index by node. Owned by the scene."""

    def __init__(self, wires: Mapping[Socket, Socket] | None = None) -> None:
        self.sources: dict[Socket, Socket] = {}
        self._into: dict[str, set[Socket]] = {}
        self._out: dict[str, set[Socket]] = {}
        for target, source in (wires or {}).items():
            self.put(target, source)

    def put(self, target: Socket, source: Socket | None) -> None:
        """Feed `target` from `source`, or, with None, from nothing."""
        old = self.sources.pop(target, None)
        if old is not None:
            self._into[target.node].discard(target)
            self._out[old.node].discard(target)
        if source is not None:
            self.sources[target] = source
            self._into.setdefault(target.node, set()).add(target)
            self._out.setdefault(source.node, set()).add(target)

    def touching(self, node: str) -> set[Socket]:
        """Inputs at which the wires that touch `node` end."""
        return self._into.get(node, set()) | self._out.get(node, set())

    def fed(self, node: str) -> frozenset[str]:
        """Names of the sockets of `node` at which wires end."""
        return frozenset(target.name for target in self._into.get(node, ()))

    def used(self, node: str) -> frozenset[str]:
        """Names of the sockets of `node` at which wires start."""
        return frozenset(self.sources[target].name for target in self._out.get(node, ()))

    def neighbours(self, node: str, *, upstream: bool) -> Iterable[str]:
        """Nodes that feed `node`, or that it feeds."""
        if upstream:
            return (self.sources[target].node for target in self._into.get(node, ()))
        return (target.node for target in self._out.get(node, ()))

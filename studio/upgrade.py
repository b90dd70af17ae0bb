"""Bringing a document's nodes to the versions that are installed."""

from __future__ import annotations

from dataclasses import replace

from studio.document import Content
from studio.errors import Problem, StudioError
from studio.graph import Node
from studio.registry import Registry


def upgraded(content: Content, registry: Registry) -> tuple[Content, list[Problem]]:
    """The document with every old node's parameters brought up to date, and those that could not be."""
    problems: list[Problem] = []
    graphs = dict(content.graphs)
    for name, graph in content.graphs.items():
        changed: dict[str, Node] = {}
        for node in graph.nodes.values():
            function = registry.nodes.get(node.type)
            if function is None or node.version >= function.spec.version:
                continue
            try:
                version, params = registry.upgrade(node.type, node.version, node.params)
            except StudioError as error:
                problems.append(Problem("older_version", error.title, error.remedy, name, node.id))
            else:
                changed[node.id] = replace(node, version=version, params=params)
        if changed:
            graphs[name] = replace(graph, nodes={**graph.nodes, **changed})
    return (replace(content, graphs=graphs) if graphs != content.graphs else content), problems

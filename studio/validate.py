"""Document and catalogue → every problem at once, each a sentence at its node. Never raises; linear."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from studio.catalogue import Catalogue
from studio.document import Content
from studio.errors import Problem
from studio.files_named import found, resolve
from studio.flatten import Flat, flatten, muted_nodes
from studio.graph import BOUNDARY, Graph, Node, Socket
from studio.models.matching import misfit, misfits
from studio.reading import Reading
from studio.spec import KnobError, KnobSpec, NodeSpec, coerce


@dataclass(frozen=True, slots=True)
class FileKnob:
    """A file that a knob names, to be looked for."""

    graph: str
    node: str
    knob: KnobSpec
    value: str


def validate(content: Content, catalogue: Catalogue, base_dir: Path | None = None) -> list[Problem]:
    """Everything that keeps nodes of the document from running, and files of different families that meet.

    Args:
        content: The document.
        catalogue: What is installed.
        base_dir: Folder that relative file names start from (the workflow file's).
    """
    problems, files = structure(content, catalogue, flatten(content, catalogue))
    return problems + missing_files(files, base_dir) + _mixed(content, catalogue, base_dir)


def _mixed(content: Content, catalogue: Catalogue, base_dir: Path | None) -> list[Problem]:
    muted = muted_nodes(content)
    return [
        Problem("family", why, "Choose files made for one kind of model.", graph, target.node, target.name)
        for graph, target, why in misfits(Reading(content, catalogue), base_dir)
        if target.node not in muted[graph]
    ]


def structure(content: Content, catalogue: Catalogue, flat: Flat) -> tuple[list[Problem], list[FileKnob]]:
    """What is wrong with the document itself, and the files that are still to be looked for."""
    reading = Reading(content, catalogue)
    muted = muted_nodes(content)
    checked = [_Checked(reading, name, muted[name]) for name in content.graphs]
    problems = [problem for graph in checked for problem in graph.problems]
    broken = {(problem.graph, problem.node) for problem in problems}
    problems.extend(
        problem
        for problem in flat.problems
        if (problem.graph, problem.node) not in broken or problem.kind == "cycle"
    )
    return problems, [file for graph in checked for file in graph.files]


def missing_files(files: Iterable[FileKnob], base_dir: Path | None) -> list[Problem]:
    """A problem for each file that is not there, or is no file."""
    problems: list[Problem] = []
    for file in files:
        where = (file.graph, file.node, file.knob.name)
        if not file.value:
            if not file.knob.options.get("empty"):
                title = f"“{file.node}” has no file at “{file.knob.name}” yet."
                problems.append(Problem("missing_file", title, "Choose one.", *where))
            continue
        path = resolve(file.value, base_dir)
        kind = found(path)
        if kind is None:
            title = f"“{file.node}” names a file that is not there: {path}."
            problems.append(Problem("missing_file", title, "Choose another, or put it back.", *where))
        elif kind == "other" or (kind == "folder" and not file.knob.options.get("folder")):
            what = "a folder" if kind == "folder" else "a device"
            title = f"“{file.node}” names {what} where a file is meant: {path}."
            problems.append(Problem("missing_file", title, "Choose a file.", *where))
    return problems


def wire_refusal(
    content: Content, catalogue: Catalogue, graph: str, source: Socket, target: Socket
) -> str | None:
    """Why no wire can go from `source` to `target`, as a sentence; None if it can."""
    reading = Reading(content, catalogue)
    refusal = reading.refusal(graph, source, target)
    if refusal is None and reading.closes_cycle(graph, source, target):
        return f"“{source.node}” depends on “{target.node}” already; this wire would close a circle."
    return refusal or misfit(reading, graph, source, target)


class _Checked:
    """The problems of one graph, found by looking at each node and each wire once."""

    def __init__(self, reading: Reading, name: str, muted: set[str]) -> None:
        self.problems: list[Problem] = []
        self.files: list[FileKnob] = []
        self._reading = reading
        self._name = name
        self._graph: Graph = reading.content.graphs[name]
        # Knobs that a definition shows are checked where it is used, with the values they have there.
        self._shown = {(knob.node, knob.knob) for knob in self._graph.interface.knobs}
        self._dead = muted | {key for key, node in self._graph.nodes.items() if node.mode == "bypass"}
        for node in self._graph.nodes.values():
            if node.id not in muted:
                self._check_node(node)
        for target, source in self._graph.wires.items():
            if target.node not in muted:
                self._check_wire(target, source)

    def _say(self, kind: str, title: str, remedy: str, node: str, socket: str = "") -> None:
        self.problems.append(Problem(kind, title, remedy, self._name, node, socket))  # pyright: ignore[reportArgumentType]

    def _check_node(self, node: Node) -> None:
        spec = self._reading.spec(node)
        if spec is None:
            self._unknown(node)
        elif not node.is_subgraph and node.version > spec.version:
            self._say(
                "newer_version",
                f"“{node.id}” needs version {node.version} of {node.type}; {spec.version} is installed.",
                "Update the package it comes from; its values are kept until then.",
                node.id,
            )
        elif not node.is_subgraph and node.version < spec.version:
            self._say(
                "older_version",
                f"“{node.id}” was made for version {node.version} of {node.type}; it is now {spec.version}.",
                "It is brought up to date when the engine answers.",
                node.id,
            )
        elif node.id not in self._dead:
            self._check_sockets(node, spec)

    def _unknown(self, node: Node) -> None:
        if node.is_subgraph:
            title = f"“{node.id}” is a subgraph “{node.type}” that this document does not define."
            self._say("unknown_type", title, "Delete the node, or paste the definition back.", node.id)
            return
        package = node.type.partition("/")[0]
        if package in self._reading.catalogue.packages:
            title = f"“{node.id}” is of the type “{node.type}”, which {package} does not have."
            remedy = "Update the package, or replace the node."
        else:
            title = f"“{node.id}” is of the type “{node.type}”; the package “{package}” is not installed."
            remedy = "Install the package, or replace the node; its values and wires are kept."
        self._say("unknown_type", title, remedy, node.id)

    def _check_sockets(self, node: Node, spec: NodeSpec) -> None:
        wires = self._graph.wires
        for item in spec.inputs:
            if not item.optional and Socket(node.id, item.name) not in wires:
                what = item.type.replace("_", " ")
                self._say(
                    "missing_wire",
                    f"“{node.id}” needs {'something' if what == 'any' else what} at “{item.name}”.",
                    "Wire an output to it.",
                    node.id,
                    item.name,
                )
        known = {knob.name for knob in spec.knobs}
        for name in node.params:
            if name not in known:
                self._say(
                    "unknown_socket",
                    f"“{node.id}” holds a value for “{name}”, and {node.type} has no such knob.",
                    "Remove the value, or update the package the node comes from.",
                    node.id,
                    name,
                )
        for knob in spec.knobs:
            if Socket(node.id, knob.name) not in wires and (node.id, knob.name) not in self._shown:
                self._check_knob(node, knob)

    def _check_knob(self, node: Node, knob: KnobSpec) -> None:
        try:
            value = coerce(knob, node.params.get(knob.name, knob.default), self._reading.catalogue.choices)
        except KnobError as error:
            self._say("out_of_range", f"“{node.id}”: {error}", "Choose a value it takes.", node.id, knob.name)
            return
        if knob.kind == "file" and isinstance(value, str):
            self.files.append(FileKnob(self._name, node.id, knob, value))

    def _check_wire(self, target: Socket, source: Socket) -> None:
        if target.node != BOUNDARY and not self._is_known(target.node):
            return
        if source.node != BOUNDARY:
            if source.node not in self._graph.nodes:
                title = f"“{target.node}” is wired to “{source.node}”, which is not there."
                self._say("unknown_socket", title, "Wire something else to it.", target.node, target.name)
                return
            if not self._is_known(source.node):
                return  # a placeholder's outputs are unknown; it is itself the problem
        refusal = self._reading.refusal(self._name, source, target)
        if refusal is not None:
            taken = self._reading.input_type(self._name, target)
            given = self._reading.output_type(self._name, source)
            kind = "wrong_type" if taken and given else "unknown_socket"
            self._say(kind, refusal, "Wire an output of that type to it.", target.node, target.name)

    def _is_known(self, node_id: str) -> bool:
        node = self._graph.nodes.get(node_id)
        return node is not None and self._reading.spec(node) is not None

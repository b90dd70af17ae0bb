"""Workflow files: a document to and from bare JSON, a ``.studio`` bundle, or a PNG that carries it.

Loading executes nothing, raises nothing but `FileError`, and reports what is wrong node by node.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.document import Content
from studio.errors import FileError, Problem
from studio.files import atomic, bundle, nesting, png, pretty, strict_json, writer
from studio.files.migrations import migrate
from studio.files.reader import Reader
from studio.graph import Graph, Node
from studio.types import Json

if TYPE_CHECKING:
    from studio.catalogue import Catalogue

MAX_NODES = 20_000
to_json = writer.to_json


@dataclass(frozen=True)
class Loaded:
    """What a file gave.

    Attributes:
        content: The document.
        problems: What could not be understood; it is kept and written back.
        blobs: Pictures and masks of a bundle, by name.
    """

    content: Content
    problems: list[Problem] = field(default_factory=list[Problem])
    blobs: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def load(path: Path) -> Loaded:
    """Read a workflow from a ``.json``, a ``.studio`` bundle or a picture; the content tells which it is.

    Raises:
        FileError: It cannot be read as a workflow; the sentence names the file.
    """
    try:
        start = _start_of(path)
        if start.startswith(bundle.SIGNATURE):
            workflow, blobs = bundle.read(path)
            loaded = parse(workflow)
            return replace(loaded, blobs=blobs)
        if start.startswith(png.SIGNATURE):
            found = png.find_workflow(path)
            if found is None:
                raise FileError(
                    "This picture carries no workflow of Latent Studio.",
                    "Pictures keep theirs only while no other program saves them again.",
                )
            return parse(found)
        with path.open("rb") as file:
            return parse(file.read(strict_json.MAX_BYTES + 1))
    except FileError as error:
        raise FileError(f"“{path.name}” cannot be opened. {error.title}", error.remedy) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(f"“{path.name}” cannot be opened: {_reason(error)}.") from error


def parse(data: bytes) -> Loaded:
    """Read the bytes of a workflow's JSON.

    Raises:
        FileError: Empty, cut, no object, of a newer format, or over a limit.
    """
    reader = Reader()
    value = strict_json.read(data, reader.notice)
    if not isinstance(value, dict):
        raise FileError("It holds no workflow: a workflow is a JSON object.")
    return _read(value, reader)


def read(data: dict[str, Json]) -> Loaded:
    """Read a workflow's object, of this format or an older one.

    Raises:
        FileError: No format, a newer one, or over a limit.
    """
    return _read(data, Reader())


def _read(data: dict[str, Json], reader: Reader) -> Loaded:
    data = migrate(data)
    _check_count(data)
    content = reader.content(data)
    return Loaded(content, reader.finish() + nesting.check(content))


def from_json(data: dict[str, Json]) -> Content:
    """The inverse of `to_json`, exact for every content; problems are left to `read`.

    Raises:
        FileError: As `read`.
    """
    return read(data).content


def save(
    content: Content,
    path: Path,
    catalogue: Catalogue | None = None,
    blobs: Mapping[str, bytes] | None = None,
) -> None:
    """Write a workflow atomically, as a bundle if `path` ends in ``.studio``, else as JSON.

    The last three versions are kept beside it (``name~1`` is the newest).

    Args:
        content: The document.
        path: Where to.
        catalogue: With it, knobs that a node does not name are written with their defaults, and the
            packages in use with their versions.
        blobs: Pictures and masks for a bundle; None keeps those of the bundle that is replaced.

    Raises:
        FileError: It could not be written; what was at `path` is still there.
    """
    if catalogue is not None:
        content = completed(content, catalogue)
    data = pretty.dumps(to_json(content))
    if path.suffix.lower() == ".studio":
        if blobs is None:
            blobs = _blobs_of(path, content.id)
        data = bundle.pack(data, blobs)
    atomic.write(path, data, versions=atomic.VERSIONS)


def _blobs_of(path: Path, document: str) -> Mapping[str, bytes]:
    """The blobs of the bundle at `path`, if it is an earlier state of `document`."""
    try:
        loaded = load(path)
    except FileError:  # absent, or no bundle: nothing of this document is lost
        return {}
    return loaded.blobs if loaded.content.id == document else {}


def completed(content: Content, catalogue: Catalogue) -> Content:
    """Return `content` with every knob written by name, and the packages it requires with their versions."""
    graphs = {name: _completed(graph, catalogue) for name, graph in content.graphs.items()}
    types = (node.type for graph in content.graphs.values() for node in graph.nodes.values())
    used = {name.split("/", 1)[0] for name in types if "/" in name}
    versions = {name: catalogue.packages[name] for name in sorted(used & set(catalogue.packages))}
    return replace(content, graphs=graphs, requires={**content.requires, **versions})


def _completed(graph: Graph, catalogue: Catalogue) -> Graph:
    nodes: dict[str, Node] = {}
    for key, node in graph.nodes.items():
        spec = catalogue.specs.get(node.type)
        # Of another version the defaults may mean something else; unreadable knobs are not covered up.
        if spec is not None and spec.version == node.version and "params" not in node.extra:
            missing = {knob: value for knob, value in spec.defaults.items() if knob not in node.params}
            node = replace(node, params={**node.params, **missing}) if missing else node
        nodes[key] = node
    return replace(graph, nodes=nodes)


def _check_count(data: dict[str, Json]) -> None:
    graphs = data.get("graphs")
    count = 0
    for graph in graphs.values() if isinstance(graphs, dict) else ():
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        count += len(nodes) if isinstance(nodes, dict) else 0
    if count > MAX_NODES:
        raise FileError(f"It holds {count:,} nodes; {MAX_NODES:,} is the most that opens.")


def _start_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a device or a named channel might never end
        kind = "it is a folder" if path.is_dir() else "it is no regular file"
        raise FileError(f"There is nothing to read: {kind}.")
    with path.open("rb") as file:
        return file.read(8)


def _reason(error: OSError | ValueError) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "there is no such file"
    if code in (errno.EACCES, errno.EPERM):
        return "you may not read it"
    return f"the system says “{error}”"

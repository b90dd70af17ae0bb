"""Finding what packages bring: nodes, wire types and named parts, through one entry-point group.

The built-in nodes enter by this door too. A package, or a part of one, that fails to import is a `Problem`.
"""

from __future__ import annotations

import copy
import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, cast

from studio.cache import codec
from studio.catalogue import Catalogue
from studio.declare import Extension, NodeFunction
from studio.errors import Problem, StudioError
from studio.spec import NodeSpec
from studio.types import (
    CORE_WIRES,
    Conditioning,
    Json,
    Latent,
    Model,
    TextEncoder,
    Vae,
    WireType,
)

GROUP = "studio.nodes"
CORE = "core"
_log = logging.getLogger(__name__)
AnyNode = NodeFunction[..., Any]


@dataclass
class Registry:
    """Everything that packages registered, functions included. Lives in the worker; read-only once made.

    Attributes:
        nodes: Node type → function with its spec.
        wires: Wire type name → wire type.
        extensions: (kind, name) → declaration.
        problems: What could not be taken in.
        packages: Package name → version.
        homes: Module a package lives in → its name; what a module of another home defined is only
            borrowed by the one that imports it, and registered by its owner.
    """

    nodes: dict[str, AnyNode] = field(default_factory=dict[str, AnyNode])
    wires: dict[str, WireType] = field(default_factory=dict[str, WireType])
    extensions: dict[tuple[str, str], Extension] = field(default_factory=dict[tuple[str, str], Extension])
    problems: list[Problem] = field(default_factory=list[Problem])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    homes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def specs(self) -> dict[str, NodeSpec]:
        """Node type → spec."""
        return {name: function.spec for name, function in self.nodes.items()}

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Extension kind → registered names."""
        names: dict[str, tuple[str, ...]] = {}
        for kind, name in self.extensions:
            names[kind] = (*names.get(kind, ()), name)
        return names

    def catalogue(self) -> Catalogue:
        """What may be told to the editor."""
        return Catalogue(
            self.specs, dict(self.wires), self.choices, tuple(self.problems), dict(self.packages)
        )

    def extension(self, kind: str, name: str) -> Extension:
        """The part registered under that name.

        Raises:
            StudioError: There is none.
        """
        try:
            return self.extensions[kind, name]
        except KeyError:
            known = ", ".join(self.choices.get(kind, ())) or "none"
            raise StudioError(f"There is no {kind} named “{name}”.", f"Known: {known}.") from None

    def upgrade(
        self, type_name: str, version: int, params: Mapping[str, Json]
    ) -> tuple[int, dict[str, Json]]:
        """Turn the parameters of an old version of a type into those of today's.

        Raises:
            StudioError: The type is not here, is older than `version`, or a step of its ladder failed.
        """
        function = self.nodes.get(type_name)
        if function is None:
            raise StudioError(f"The node type “{type_name}” is not installed.")
        today = function.spec.version
        if version > today:
            raise StudioError(
                f"“{type_name}” was saved by version {version}; version {today} is installed.",
                "Update the package it comes from.",
            )
        values = copy.deepcopy(dict(params))  # the document's own stay as they are
        for step in range(version, today):
            if step not in function.upgrades:
                raise StudioError(f"“{type_name}” cannot be brought from version {step} to {step + 1}.")
            try:
                values = _as_params(function.upgrades[step](values))
            except Exception as error:
                _log.info("upgrade of %s from version %d", type_name, step, exc_info=True)
                raise StudioError(
                    f"“{type_name}” could not be brought from version {step} to {step + 1}: {error}."
                ) from error
        return today, values

    def add(self, package: str, module: ModuleType) -> None:
        """Register what `module` defines at its top level, for `package`."""
        for thing in vars(module).values():
            if isinstance(thing, NodeFunction):
                function = cast("AnyNode", thing)
                if self._owner(function.function.__module__) in (None, package):
                    self.add_node(package, function)
            elif isinstance(thing, Extension):
                self._put(self.extensions, (thing.kind, thing.name), thing, f"{thing.kind} “{thing.name}”")
            elif isinstance(thing, WireType):
                self._put(self.wires, thing.name, thing, f"wire type “{thing.name}”")
            elif isinstance(thing, type):
                self._add_class(cast("type[Any]", thing), module)

    def _add_class(self, cls: type[Any], module: ModuleType) -> None:
        mark = getattr(cls, "__wire__", None)
        if isinstance(mark, WireType):
            if is_dataclass(cls):
                codec.register_dataclass(cls)
            self._put(self.wires, mark.name, mark, f"wire type “{mark.name}”")
        if _is_stored(cls, module):
            codec.register_dataclass(cls)

    def _owner(self, module: str) -> str | None:
        """The package that a module belongs to; None if to none that is known."""
        while module:
            if module in self.homes:
                return self.homes[module]
            module = module.rpartition(".")[0]
        return None

    def add_node(self, package: str, function: AnyNode) -> None:
        """Register one node function under its package's name."""
        name = function.spec.type.rpartition("/")[2]
        full = f"{package}/{name}"
        known = self.nodes.get(full)
        if known is function:
            return
        if known is not None:
            self._clash(f"node “{full}”", package)
            return
        function.spec = replace(function.spec, type=full)
        self.nodes[full] = function

    def _put(self, table: dict[Any, Any], key: object, value: object, what: str) -> None:
        if table.setdefault(key, value) != value:
            self._clash(what, "")

    def _clash(self, what: str, package: str) -> None:
        title = f"The {what} is declared twice; the first one stands."
        problem = Problem(
            "package", title, f"Ask the author of {package or 'the second package'} to rename it."
        )
        if problem not in self.problems:
            self.problems.append(problem)


def _as_params(values: object) -> dict[str, Json]:
    if not isinstance(values, dict):
        raise TypeError(f"its upgrade gave {type(values).__name__}, not parameters")
    return cast("dict[str, Json]", values)


def _is_stored(cls: type[Any], module: ModuleType) -> bool:
    """Whether the cache may meet it: a wire type, or a record of the module's own that one may hold."""
    own = cls.__dict__
    is_record = is_dataclass(cls) or (issubclass(cls, tuple) and "_fields" in own)
    return is_record and ("__wire__" in own or cls.__module__ == module.__name__)


def core_wires() -> dict[str, WireType]:
    """The wire types that need no package."""
    marks: list[WireType] = [*CORE_WIRES]
    for cls in (Latent, Model, TextEncoder, Vae, Conditioning):
        marks.append(getattr(cls, "__wire__"))  # noqa: B009 - unknown to the type
    return {mark.name: mark for mark in marks}


def discover(on_package: Callable[[str, Catalogue], None] | None = None) -> Registry:
    """Import every package of the entry-point group, core first, and register what each brings.

    Args:
        on_package: Called after each package with what it added, for a catalogue sent piece by piece.
    """
    registry = Registry(wires=core_wires())
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name != CORE, point.name))
    for point in points:
        registry.homes.setdefault(point.value, point.name)
    seen: dict[str, str] = {}
    for point in points:
        if point.name in seen:
            if point.value != seen[point.name]:
                registry.problems.append(_taken(point, seen[point.name]))
            continue
        seen[point.name] = point.value
        before = registry.catalogue()
        _take_in(registry, point)
        if on_package:
            on_package(point.name, _added(before, registry.catalogue()))
    return registry


def _take_in(registry: Registry, point: EntryPoint) -> None:
    registry.packages[point.name] = point.dist.version if point.dist else ""
    waiting = [point.value]
    while waiting:
        module = _import(registry, point.name, waiting.pop(0))
        if module is not None:
            waiting.extend(_submodules(module))


def _submodules(root: ModuleType) -> Iterator[str]:
    """Modules inside a package; those with a leading underscore wait until somebody needs them."""
    for info in pkgutil.iter_modules(getattr(root, "__path__", []), f"{root.__name__}."):
        if not info.name.rpartition(".")[2].startswith("_"):
            yield info.name


def _import(registry: Registry, package: str, name: str) -> ModuleType | None:
    try:
        module = importlib.import_module(name)
        registry.add(package, module)
        return module
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's code; its failure is a Problem
        _log.info("import of %s", name, exc_info=True)
        registry.problems.append(
            Problem(
                "package",
                f"“{name}” of the package “{package}” could not be loaded: {type(error).__name__}: {error}.",
                "Update or remove the package; everything else works without it.",
            )
        )
        return None


def _taken(point: EntryPoint, value: str) -> Problem:
    return Problem(
        "package",
        f"Two packages are named “{point.name}”: “{value}” and “{point.value}”; the first one stands.",
        "Remove one of them.",
    )


def _added(before: Catalogue, after: Catalogue) -> Catalogue:
    return Catalogue(
        {key: spec for key, spec in after.specs.items() if key not in before.specs},
        dict(after.wires),
        after.choices,
        after.problems[len(before.problems) :],
        {key: version for key, version in after.packages.items() if key not in before.packages},
    )

"""What nodes, wires and named parts there are, as data: all that the editor and validation know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from studio.errors import Problem
from studio.spec import InputSpec, KnobSpec, NodeSpec, OutputSpec
from studio.types import Json, WireType


@dataclass(frozen=True)
class Catalogue:
    """The node types of some packages, and what their sockets and knobs refer to.

    Attributes:
        specs: Node type → spec.
        wires: Wire type name → wire type.
        choices: Extension kind (``solver``) → registered names, in order of registration.
        problems: Packages, or parts of them, that could not be taken in.
        packages: Package name → version.
    """

    specs: Mapping[str, NodeSpec] = field(default_factory=dict[str, NodeSpec])
    wires: Mapping[str, WireType] = field(default_factory=dict[str, WireType])
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    problems: tuple[Problem, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict[str, str])

    def merged(self, other: Catalogue) -> Catalogue:
        """Both together; where both name something, `other` wins."""
        choices = {
            kind: tuple(dict.fromkeys((*self.choices.get(kind, ()), *other.choices.get(kind, ()))))
            for kind in {**self.choices, **other.choices}
        }
        return Catalogue(
            {**self.specs, **other.specs},
            {**self.wires, **other.wires},
            choices,
            (*self.problems, *other.problems),
            {**self.packages, **other.packages},
        )

    def to_json(self) -> dict[str, Json]:
        """The catalogue as a JSON object."""
        return cast(
            "dict[str, Json]",
            {
                "specs": [asdict(spec) for spec in self.specs.values()],
                "wires": [asdict(wire) for wire in self.wires.values()],
                "choices": {kind: list(names) for kind, names in self.choices.items()},
                "problems": [asdict(problem) for problem in self.problems],
                "packages": dict(self.packages),
            },
        )

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> Catalogue:
        """The inverse of `to_json`.

        Raises:
            ValueError: `data` is no catalogue of this version.
        """
        try:
            raw = cast("dict[str, Any]", data)
            specs = [_spec(item) for item in raw["specs"]]
            wires = [WireType(**item) for item in raw["wires"]]
            return Catalogue(
                {spec.type: spec for spec in specs},
                {wire.name: wire for wire in wires},
                {kind: tuple(names) for kind, names in raw["choices"].items()},
                tuple(Problem(**item) for item in raw["problems"]),
                dict(raw["packages"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a catalogue: {error}") from error


def _spec(data: dict[str, Any]) -> NodeSpec:
    fields: dict[str, Any] = dict(data)
    fields["inputs"] = tuple(InputSpec(**item) for item in data["inputs"])
    fields["knobs"] = tuple(KnobSpec(**item) for item in data["knobs"])
    fields["outputs"] = tuple(OutputSpec(**item) for item in data["outputs"])
    fields["synonyms"] = tuple(data["synonyms"])
    return NodeSpec(**fields)

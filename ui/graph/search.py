"""Finding node types by a few letters. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from studio.catalogue import Catalogue
from studio.reading import fits
from studio.spec import NodeSpec

_ORDER = ("Loaders", "Conditioning", "Sampling", "Latent", "Image", "Mask", "Preprocessors", "Model")
"""Categories in the order in which a graph is built; the others follow by name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the new node is to be wired to.

    Attributes:
        wire_type: Type of the wire in hand.
        output: The wire comes from an output, so that an input is looked for.
    """

    wire_type: str
    output: bool


def found(
    catalogue: Catalogue, query: str, wanted: Wanted | None = None, recent: Sequence[str] = ()
) -> list[NodeSpec]:
    """Node types that match `query`, best first; without a query the recent ones, then as a graph is built.

    Args:
        catalogue: What there is.
        query: Letters of title, type, category, synonyms; words of the description.
        wanted: Only types with a socket that this wire may end at.
        recent: Types lately added, newest first.
    """
    specs = [spec for spec in catalogue.specs.values() if wanted is None or sockets_for(spec, wanted)]
    places = {name: index for index, name in enumerate(recent)}
    if not query.strip():
        return sorted(specs, key=lambda spec: (places.get(spec.type, len(places)), *_place(spec)))
    scored = [(score(spec, query), spec) for spec in specs]
    hits = [(points, spec) for points, spec in scored if points > 0]
    hits.sort(key=lambda hit: (-hit[0], places.get(hit[1].type, len(places)), hit[1].title))
    return [spec for _, spec in hits]


def _place(spec: NodeSpec) -> tuple[int, str, str]:
    """Where a type stands among all."""
    top = spec.category.partition("/")[0]
    return _ORDER.index(top) if top in _ORDER else len(_ORDER), spec.category, spec.title


def score(spec: NodeSpec, query: str) -> float:
    """How well a type answers `query`; 0 if some word of it is found nowhere."""
    total = 0.0
    for word in query.lower().split():
        best = max(
            3.0 * _match(word, spec.title),
            2.6 * max((_match(word, synonym) for synonym in spec.synonyms), default=0.0),
            2.2 * _match(word, spec.type.rpartition("/")[2].replace("_", " ")),
            1.2 * _match(word, spec.category),
            0.6 * _whole(word, spec.doc),
        )
        if best <= 0:
            return 0.0
        total += best
    return total


def sockets_for(spec: NodeSpec, wanted: Wanted) -> list[str]:
    """Sockets of a type that the wire may end at: exact types first, then inputs before knobs."""
    if not wanted.output:
        return _exact_first(((item.name, item.type) for item in spec.outputs), wanted.wire_type, given=False)
    inputs = _exact_first(((item.name, item.type) for item in spec.inputs), wanted.wire_type, given=True)
    knobs = [(knob.name, knob.wire) for knob in spec.knobs]
    driven = ((name, wire) for name, wire in knobs if wire is not None)
    return inputs + _exact_first(driven, wanted.wire_type, given=True)


def _exact_first(sockets: Iterable[tuple[str, str]], wire_type: str, *, given: bool) -> list[str]:
    fitting = [
        (other != wire_type, name)
        for name, other in sockets
        if (fits(wire_type, other) if given else fits(other, wire_type))
    ]
    return [name for _, name in sorted(fitting, key=lambda item: item[0])]


def _match(word: str, text: str) -> float:
    """1 for the text itself, less for a beginning, a part, or letters in order; 0 for none of these."""
    text = text.lower()
    if text == word:
        return 1.0
    if text.startswith(word):
        return 0.9
    parts = [part.strip("()") or part for part in text.split()]
    if word in parts:
        return 0.86
    if any(part.startswith(word) for part in parts):
        return 0.8
    initials = "".join(part[0] for part in parts)
    if len(word) > 1 and initials.startswith(word):
        return 0.7
    if word in text:
        return 0.6
    return _scattered(word, text)


def _scattered(word: str, text: str) -> float:
    """Letters in order with gaps: the tighter together, the better; only for words of three and more."""
    if len(word) < 3:
        return 0.0
    at = start = text.find(word[0])
    if start < 0:
        return 0.0
    for letter in word[1:]:
        at = text.find(letter, at + 1)
        if at < 0:
            return 0.0
    span = at - start + 1
    return 0.4 * len(word) / span if span <= 3 * len(word) else 0.0


def _whole(word: str, text: str) -> float:
    return 1.0 if len(word) > 2 and word in text.lower() else 0.0

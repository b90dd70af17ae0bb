"""`@node`: a typed function becomes a type of node. Before ``*`` its wires, after ``*`` its knobs.

Annotations give types, limits and editors, the docstring the words, a `NamedTuple` several outputs.
Also the torch-free declarations of everything else a package may bring: solvers, schedules, families, …
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Generic, Literal, ParamSpec, TypeVar, cast

from studio.context import Context
from studio.spec import MAX_SEED, InputSpec, KnobError, KnobSpec, NodeSpec, OutputSpec, coerce
from studio.types import ANY, BOOL, FLOAT, INT, TEXT, Json, WireType

P = ParamSpec("P")
R = TypeVar("R")
Upgrade = Callable[[dict[str, Json]], dict[str, Json]]
Refs = Callable[[Mapping[str, Json]], list[str]]
ExtensionKind = Literal["solver", "schedule", "guider", "patch", "preprocessor", "family"]
_SCALARS: dict[object, WireType] = {int: INT, float: FLOAT, bool: BOOL, str: TEXT}


@dataclass(frozen=True, slots=True)
class Knob:
    """Kind and options of a knob, for ``Annotated``; plug-ins may use kinds of their own."""

    kind: str
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Range:
    """Limits of a number; `step` is one notch of the editor and no constraint."""

    min: float
    max: float
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """An editor for text."""

    multiline: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A path, whose content enters the key.

    Attributes:
        content: ``image``, ``model`` or ``text``.
        folder: A folder is accepted too.
        empty: It may be left empty.
        kinds: Of a model: the types meant (`studio.models.kinds.Type`).
    """

    content: str = "image"
    folder: bool = False
    empty: bool = False
    kinds: tuple[str, ...] = ()


Seed = Annotated[int, Knob("seed", {"min": 0, "max": MAX_SEED})]
Solver = Annotated[str, Knob("choice", {"extension": "solver"})]
Schedule = Annotated[str, Knob("choice", {"extension": "schedule"})]


class DeclarationError(TypeError):
    """A function that cannot be a node; the message says which part of its signature and why."""


@dataclass(eq=False)
class NodeFunction(Generic[P, R]):
    """A node's function with its spec; calling it calls the function.

    Attributes:
        function: As written by the author.
        spec: What it declares; its type has no package until the registry gives it one.
        upgrades: Version → function that turns that version's parameters into the next one's.
        refs: Lists the files that the *text* of the knobs names; their digests enter the key.
        wants_context: The function takes a `Context` first.
    """

    function: Callable[P, R]
    spec: NodeSpec
    refs: Refs | None = None
    wants_context: bool = False
    upgrades: dict[int, Upgrade] = field(default_factory=dict[int, Upgrade])

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the author's function."""
        return self.function(*args, **kwargs)

    def upgrade(self, version: int) -> Callable[[Upgrade], Upgrade]:
        """Declare how parameters of `version` become those of ``version + 1``."""

        def register(step: Upgrade) -> Upgrade:
            self.upgrades[version] = step
            return step

        return register


@dataclass(frozen=True, slots=True)
class Extension:
    """A named part other than a node, found without importing what implements it.

    Attributes:
        kind: What it is.
        name: What knobs and files call it.
        target: ``module:attribute``, imported when first used.
        doc: One line.
    """

    kind: ExtensionKind
    name: str
    target: str
    doc: str

    def load(self) -> Any:
        """Import and return the implementation."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


def node(
    name: str,
    *,
    category: str,
    version: int = 1,
    title: str = "",
    sink: bool = False,
    passes: bool = False,
    instant: bool = False,
    device: bool = False,
    shows: bool = False,
    synonyms: tuple[str, ...] = (),
    refs: Refs | None = None,
) -> Callable[[Callable[P, R]], NodeFunction[P, R]]:
    """Declare a function as the node `name`; the flags are those of `NodeSpec`.

    Raises:
        DeclarationError: The signature or docstring cannot be read as a node.
    """

    def declare(function: Callable[P, R]) -> NodeFunction[P, R]:
        signature = _Signature(function)
        _check_flags(name, signature, version=version, sink=sink, passes=passes, instant=instant)
        spec = NodeSpec(
            type=name,
            version=version,
            title=title or name.replace("_", " ").capitalize(),
            category=category,
            doc=signature.doc,
            inputs=signature.inputs,
            knobs=signature.knobs,
            outputs=signature.outputs,
            sink=sink,
            passes=passes,
            instant=instant or passes,
            lazy=signature.lazy,
            device=device,
            shows=shows or sink,
            synonyms=synonyms,
        )
        return NodeFunction(function, spec, refs, signature.wants_context)

    return declare


def _check_flags(
    name: str, signature: _Signature, *, version: int, sink: bool, passes: bool, instant: bool
) -> None:
    """Refuse what no run could make sense of."""
    wrong = ""
    if not name or set("/. ") & set(name):
        wrong = "has a name that no file can hold"
    elif version < 1:
        wrong = "has a version below 1"
    elif sink and signature.outputs:
        wrong = "is a sink and gives something; a sink returns None"
    elif sink and (passes or instant):
        wrong = "is a sink, which planning must not carry out"
    elif passes and len(signature.outputs) != 1:
        wrong = "gives on an input and needs exactly one output"
    elif instant and signature.lazy and not passes:
        wrong = "asks for its inputs one by one, which planning cannot answer"
    if wrong:
        raise DeclarationError(f"node {name}: {wrong}.")


class _Signature:
    """A function's parameters and docstring, read as sockets and knobs."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._name = getattr(function, "__name__", "?")
        doc = inspect.getdoc(function) or ""
        self.doc = " ".join(doc.split("\n\n")[0].split())
        self._docs = _argument_lines(doc)
        # Names that an author imports for the type checker only are resolved against the author's module.
        try:
            hints = typing.get_type_hints(function, include_extras=True)
            parameters = inspect.signature(function).parameters
        except Exception as error:  # whatever an author's annotations raise
            raise DeclarationError(f"node {self._name}: its signature cannot be read: {error}.") from error
        inputs: list[InputSpec] = []
        knobs: list[KnobSpec] = []
        self.wants_context = False
        for parameter in parameters.values():
            hint = hints.get(parameter.name)
            if hint is None:
                raise self._error(parameter.name, "has no annotation")
            if hint is Context:
                if parameter is not next(iter(parameters.values())):
                    raise self._error(parameter.name, "is the context, which comes first")
                self.wants_context = True
            elif parameter.kind is parameter.KEYWORD_ONLY:
                knobs.append(self._knob(parameter, hint))
            elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                inputs.append(self._input(parameter, hint))
            else:
                raise self._error(parameter.name, "is variadic; a node's sockets are fixed")
        self.inputs, self.knobs = tuple(inputs), tuple(knobs)
        returned = hints.get("return")
        self.lazy = typing.get_origin(returned) is Generator
        if self.lazy:
            returned = typing.get_args(returned)[2]
        elif inspect.isgeneratorfunction(function):
            raise self._error("return", "should be Generator[str, …, …], since it asks for its inputs")
        elif inspect.iscoroutinefunction(function):
            raise self._error("return", "is a coroutine; a node's function is a plain one")
        self.outputs = self._outputs(returned)

    def _error(self, name: str, what: str) -> DeclarationError:
        return DeclarationError(f"node {self._name}: “{name}” {what}.")

    def _input(self, parameter: inspect.Parameter, hint: Any) -> InputSpec:
        if parameter.default is not None and parameter.default is not parameter.empty:
            raise self._error(parameter.name, "is a wire and can only default to None; knobs come after *")
        plain = _without_none(hint)
        # Python wants defaults last; a wire that may be left out can stand before one that may not.
        optional = parameter.default is None or plain is not hint
        wire_type, many = self._wire(parameter.name, plain)
        return InputSpec(parameter.name, wire_type, many, optional, self._docs.get(parameter.name, ""))

    def _wire(self, name: str, hint: Any) -> tuple[str, bool]:
        if typing.get_origin(hint) is list:
            inner, nested = self._wire(name, typing.get_args(hint)[0])
            if nested:
                raise self._error(name, "is a list of lists, which no wire carries")
            return inner, True
        found = wire_of(hint)
        if found is None:
            raise self._error(name, f"is of {hint!r}, which is no wire type")
        return found, False

    def _outputs(self, hint: Any) -> tuple[OutputSpec, ...]:
        if hint is None or hint is type(None):
            return ()
        if isinstance(hint, type) and hasattr(hint, "_fields"):
            docs = _argument_lines(inspect.getdoc(cast("type[object]", hint)) or "", "Attributes:")
            fields = typing.get_type_hints(hint, include_extras=True)
            return tuple(
                OutputSpec(key, *self._wire(key, kind), docs.get(key, "")) for key, kind in fields.items()
            )
        wire_type, many = self._wire("return", hint)
        name = "value" if wire_type == ANY else wire_type.rpartition("/")[2]
        return (OutputSpec(name, wire_type, many, self.doc),)

    def _knob(self, parameter: inspect.Parameter, hint: Any) -> KnobSpec:
        if parameter.default is parameter.empty:
            raise self._error(parameter.name, "is a knob and needs a default")
        base, marks = hint, ()
        if typing.get_origin(hint) is Annotated:
            base, *marks = typing.get_args(hint)
        kind, options = self._kind(parameter.name, base)
        for mark in marks:
            if isinstance(mark, Knob):
                kind, options = mark.kind, {**options, **mark.options}
            elif isinstance(mark, Range):
                options |= {"min": mark.min, "max": mark.max}
                options |= {} if mark.step is None else {"step": mark.step}
            elif isinstance(mark, Text):
                options["multiline"] = mark.multiline
            elif isinstance(mark, File):
                kind = "file"
                options |= {"content": mark.content, "folder": mark.folder, "empty": mark.empty}
                options |= {"kinds": list(mark.kinds)} if mark.kinds else {}
        knob = KnobSpec(parameter.name, kind, parameter.default, options, self._docs.get(parameter.name, ""))
        # What is registered for an extension is not known yet: only that its name is a text.
        checked = replace(knob, kind="text") if "extension" in options else knob
        try:
            coerce(checked, knob.default)
        except KnobError as error:
            raise self._error(knob.name, f"has a default it does not take: {error}") from None
        return knob

    def _kind(self, name: str, base: Any) -> tuple[str, dict[str, Json]]:
        if typing.get_origin(base) is Literal:
            return "choice", {"choices": cast("list[Json]", list(typing.get_args(base)))}
        if (scalar := _scalar(base)) is not None:
            return scalar.name, {}
        if base is dict or base is list or typing.get_origin(base) in (dict, list):
            return "json", {}
        raise self._error(name, f"is of {base!r}, for which there is no knob")


def wire_of(hint: Any) -> str | None:
    """Name of the wire type an annotation stands for; None if it is none."""
    if isinstance(hint, TypeVar):
        return ANY
    if (scalar := _scalar(hint)) is not None:
        return scalar.name
    if typing.get_origin(hint) is Annotated:
        for mark in typing.get_args(hint)[1:]:
            if isinstance(mark, WireType):
                return mark.name
        return wire_of(typing.get_args(hint)[0])
    mark = getattr(hint, "__wire__", None)
    return mark.name if isinstance(mark, WireType) else None


def _scalar(hint: Any) -> WireType | None:
    """The wire type of a plain Python type; not every annotation can be looked up in a dict."""
    return next((found for cls, found in _SCALARS.items() if hint is cls), None)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [item for item in typing.get_args(hint) if item is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _argument_lines(doc: str, heading: str = "Args:") -> dict[str, str]:
    """The ``Args:`` section of a Google-style docstring, one line an argument."""
    lines: dict[str, str] = {}
    section = doc.partition(f"{heading}\n")[2]
    current = ""
    for line in section.splitlines():
        if not line.startswith(" "):
            break
        match = re.match(r"\s+(\w+): (.*)", line)
        if match and len(line) - len(line.lstrip()) == 4:
            current = match[1]
            lines[current] = match[2].strip()
        elif current:
            lines[current] += f" {line.strip()}"
    return lines

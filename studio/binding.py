"""From what a node's sockets are wired to, to its calls with their keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from studio.cache.header import ABSENT
from studio.calls import Bound, Call, Ref, fan_out, ids, known
from studio.declare import NodeFunction
from studio.errors import Cancelled, NodeError, StudioError
from studio.files_named import found, resolve
from studio.flatten import FlatNode
from studio.ground import Gone, Ground
from studio.invoke import failure, lazily, outputs, question, start
from studio.keys import call_key, canonical, digest, knob_values, own_part
from studio.spec import NodeSpec
from studio.types import CORE_WIRES, Json

ASKS = "asks/"
"""Prefix of the records of what lazy nodes ask for."""
NAMED = "named/"
"""Prefix, among the files of a call, of those that the text of its knobs names."""
_log = logging.getLogger(__name__)

_BY_VALUE = frozenset(wire.name for wire in CORE_WIRES if wire.by_value)


class Wait(Exception):  # noqa: N818 - control flow within planning
    """A key cannot be known yet.

    Attributes:
        token: Address of the node, or key of the call, that has to be there first.
        on_node: Address of the node to name to the user; empty for the one that is bound.
        call: A call to be made only to find out what a lazy node asks for.
        also: Keys of further calls that have to be there too, so that they need not be made one by one.
    """

    def __init__(
        self, token: str, on_node: str, call: Call | None = None, also: Collection[str] = ()
    ) -> None:
        super().__init__(token)
        self.token = token
        self.on_node = on_node
        self.call = call
        self.also = also


class Out(Exception):  # noqa: N818 - control flow within planning
    """A node is out of the run: `standing` says how, `because` why."""

    def __init__(self, standing: str, because: str) -> None:
        super().__init__(because)
        self.standing = standing
        self.because = because


class Binding:
    """Binds nodes one by one; raises `Wait` and `Out` to whoever plans."""

    def __init__(self, ground: Ground, source: Callable[[str, str], Bound]) -> None:
        self._ground = ground
        self._source = source
        self._owners: dict[str, str] = {}

    def bind(self, flat: FlatNode) -> tuple[list[Call], list[Call], dict[str, Bound]]:
        """The calls the node still needs, those made right here, and what its outputs are bound to.

        Raises:
            Wait: Something it depends on is not known yet.
            Out: Something it depends on will not run.
            NodeError: It cannot run: lists of different lengths, a missing file, an unfit wired value.
        """
        spec = flat.spec
        wired: dict[str, Bound] = {}
        for name, source in flat.wires.items():
            if not (spec.lazy and name in spec.many):
                wired[name] = self._source(source.address, source.output)
        if spec.passes:
            return [], [], self._pass_on(flat, wired)
        many = spec.many
        inputs: dict[str, Bound] = {}
        for name, bound in wired.items():
            resolved = self._resolved(bound)
            inputs[name] = (resolved,) if many.get(name) and isinstance(resolved, Ref) else resolved
        sets = fan_out(flat.address, many, inputs)
        if spec.instant:
            made = [self._call(flat, given) for given in (sets if sets is not None else [inputs])]
            return [], made, self._evaluated(flat, made, fanned=sets is not None)
        calls = [self._call(flat, given) for given in (sets if sets is not None else [inputs])]
        for index, call in enumerate(calls):
            if spec.sink and not spec.lazy:
                call.key = f"{call.key}#{index}"  # equal elements are written one by one
            self._owners[call.key] = flat.address
        return calls, [], self._outputs(spec, calls, fanned=sets is not None)

    def _resolved(self, bound: Bound) -> Bound:
        """Scalars by value, lists by element."""
        if isinstance(bound, Ref):
            return bound if bound.kind == "value" else self._resolved_ref(bound)
        resolved: list[Ref] = []
        missing: dict[str, None] = {}
        for ref in bound:
            try:
                item = self._resolved_ref(ref)
            except Wait as wait:
                missing[wait.token] = None
            else:
                resolved.extend(item if isinstance(item, tuple) else (item,))
        if missing:
            # Calls of one node are made in the order of their keys: the last is awaited, and few are looked
            # at again and again.
            last = max(missing)
            raise Wait(last, self._owners.get(last, ""), also=missing)
        return tuple(resolved)

    def _resolved_ref(self, ref: Ref) -> Bound:
        if ref.kind == "value":
            return ref
        try:
            output = self._ground.about(ref)
        except Gone as gone:
            raise Wait(gone.key, self._owners.get(gone.key, "")) from None
        if ref.kind == "scalar":
            return known(self._value(ref) if output.value is ABSENT else output.value, ref.id)
        return tuple(
            Ref(f"={item}", ref.call, ref.output, index) for index, item in enumerate(output.elements or ())
        )

    def _value(self, ref: Ref) -> object:
        """The value itself, for what planning evaluates."""
        try:
            return self._ground.value(ref)
        except Gone as gone:
            raise Wait(gone.key, self._owners.get(gone.key, "")) from None

    def _values(self, bound: Bound) -> object:
        return self._value(bound) if isinstance(bound, Ref) else [self._value(ref) for ref in bound]

    def _call(self, flat: FlatNode, given: Mapping[str, Bound]) -> Call:
        spec = flat.spec
        inputs: dict[str, Bound] = {}
        wired: dict[str, object] = {}
        for name, bound in given.items():
            if name in spec.many:
                inputs[name] = bound
            else:
                wired[name] = self._values(bound)
        own, knobs, files = self._own(flat, wired)
        numerics = self._ground.numerics() if spec.device else ""
        key = call_key(own, {name: ids(bound) for name, bound in inputs.items()}, files, numerics)
        if spec.sink:
            key = f"{key}@{flat.address}"
        if spec.lazy:
            key, asked, settled = self._asks(flat, key)
            call = Call(key, flat, knobs, {**inputs, **asked}, files, numerics, tuple(asked))
            if not settled:
                raise Wait(key, "", call)
            return call
        return Call(key, flat, knobs, inputs, files, numerics)

    def _own(
        self, flat: FlatNode, wired: Mapping[str, object]
    ) -> tuple[bytes, dict[str, Json], dict[str, str]]:
        """The node's own share of the key, the knobs as its function gets them, and digests of files."""
        node, spec = flat.node, flat.spec
        drawn = self._ground.draws.get(flat.address, {})
        plain = not wired and not drawn
        remembered = node.__dict__.get("_own") if plain else None
        if remembered is not None and remembered[0] is spec:
            return remembered[1], remembered[2], {}
        function = self._ground.functions[spec.type]
        values = knob_values(node, spec, self._ground.choices, {**drawn, **cast("Mapping[str, Json]", wired)})
        files: dict[str, str] = {}
        keyed = dict(values)
        for knob in spec.knobs:
            value = values[knob.name]
            if knob.kind == "file" and isinstance(value, str) and value:
                path = resolve(value, self._ground.base_dir)
                files[knob.name] = self._digest(path, str(knob.options.get("content", "")), knob.name)
                values[knob.name] = str(path)
                del keyed[knob.name]
        for name in self._named(function, values):
            path = resolve(name, self._ground.base_dir)
            files[f"{NAMED}{name}"] = self._digest(path, "", "") if found(path) else "missing"
        own = own_part(spec, keyed)
        if plain and not files and function.refs is None:
            node.__dict__["_own"] = (spec, own, values)
        return own, values, files

    def _named(self, function: NodeFunction[..., Any], values: Mapping[str, Json]) -> list[str]:
        """Files that the text of the knobs names."""
        if function.refs is None:
            return []
        with self._authors_code(function.spec.type):
            return [str(name) for name in function.refs(values)]

    @contextmanager
    def _authors_code(self, node_type: str) -> Generator[None]:
        """Whatever a package's code raises becomes a sentence."""
        try:
            yield
        except (Wait, Out, StudioError):
            raise
        except (Exception, SystemExit) as error:  # a package's code; its failure is that node's alone
            if isinstance(error, Cancelled) and self._ground.cancelled():
                raise
            _log.info("%s failed in planning", node_type, exc_info=True)
            raise failure(error) from error

    def _digest(self, path: Path, content: str, knob: str) -> str:
        try:
            return self._ground.files.digest(path, content, self._ground.cancelled)
        except (FileNotFoundError, ValueError):  # ValueError: a null character in the name
            raise NodeError(f"There is no file {path}.", "Choose another.", socket=knob) from None
        except OSError as error:
            raise NodeError(f"{path} cannot be read: {error.strerror}.", socket=knob) from None
        except StudioError as error:
            error.socket = error.socket or knob
            raise

    def _outputs(self, spec: NodeSpec, calls: list[Call], *, fanned: bool) -> dict[str, Bound]:
        bound: dict[str, Bound] = {}
        for output in spec.outputs:
            kind = "list" if output.many else "scalar" if output.type in _BY_VALUE else "value"
            refs = tuple(
                Ref(f"{call.key}/{output.name}", call.key, output.name, None, kind) for call in calls
            )
            bound[output.name] = refs if fanned else refs[0]
        return bound

    def _evaluated(self, flat: FlatNode, calls: list[Call], *, fanned: bool) -> dict[str, Bound]:
        """Outputs of a node that planning itself evaluates."""
        results = [self._instant(call) for call in calls]
        if not fanned:
            return results[0]
        return {
            output.name: tuple(
                ref
                for result in results
                for bound in (result[output.name],)
                for ref in (bound if isinstance(bound, tuple) else (bound,))
            )
            for output in flat.spec.outputs
        }

    def _instant(self, call: Call) -> dict[str, Bound]:
        flat, spec = call.flat, call.flat.spec
        wires = {name: self._values(bound) for name, bound in call.inputs.items()}
        context = self._ground.context(flat.address, call.key)
        with self._authors_code(spec.type):
            values = outputs(spec, start(self._ground.functions[spec.type], context, wires, call.knobs))
        bound: dict[str, Bound] = {}
        for output in spec.outputs:
            value, name = values[output.name], f"{call.key}/{output.name}"
            if output.many:
                items = cast("list[object]", value)
                bound[output.name] = tuple(known(item, f"{name}/{n}") for n, item in enumerate(items))
            else:
                bound[output.name] = known(value, name)
        return bound

    def _pass_on(self, flat: FlatNode, wired: dict[str, Bound]) -> dict[str, Bound]:
        """The outputs of a node that gives on an input unread: that input's own binding."""
        spec = flat.spec
        inputs = {name: bound for name, bound in wired.items() if spec.input(name)}
        knobs = {
            name: self._values(self._resolved(bound)) for name, bound in wired.items() if name not in inputs
        }
        _, values, _ = self._own(flat, knobs)
        function = self._ground.functions[spec.type]
        with self._authors_code(spec.type):
            result = start(function, self._ground.context(flat.address, ""), inputs, values)
            if spec.lazy:
                result = self._answered(flat, lazily(result), inputs)
        for name, bound in inputs.items():
            if bound is result:
                return {spec.outputs[0].name: inputs[name]}
        if result is None:
            raise NodeError(f"Nothing is wired to “{flat.node.id}” that it could give on.", "Wire an input.")
        raise NodeError(
            f"“{spec.type}” is declared to give on an input and made a value.", "Tell its author."
        )

    def _answered(
        self, flat: FlatNode, asking: Generator[str, object, object], inputs: dict[str, Bound]
    ) -> object:
        """Give a lazy node that passes the bindings it asks for; `inputs` takes them up."""
        answer: object = None
        try:
            while True:
                name = question(flat.spec, asking.send(answer), inputs)
                answer = inputs[name] = self._asked(flat, name)
        except StopIteration as stop:
            return cast("object", stop.value)

    def _asked(self, flat: FlatNode, name: str) -> Bound:
        """What a lazily wanted input is bound to."""
        if name in flat.muted:
            raise Out("skipped", f"the node at “{name}” is muted")
        if name not in flat.wires:
            raise NodeError(f"Nothing is wired to “{name}”, which is wanted now.", "Wire it.", socket=name)
        source = flat.wires[name]
        return self._source(source.address, source.output)

    def _asks(self, flat: FlatNode, key: str) -> tuple[str, dict[str, Bound], bool]:
        """Follow the records of what a lazy node asked for, given what it got before.

        Returns:
            The key, the inputs asked for, and whether it is known to ask for no more.
        """
        asked: dict[str, Bound] = {}
        record = self._ground.store.record(ASKS + key)
        while isinstance(record, str):
            name = record
            bound = self._resolved(self._asked(flat, name))
            item = flat.spec.input(name)
            if item and item.many and isinstance(bound, Ref):
                bound = (bound,)
            if isinstance(bound, tuple) and not (item and item.many):
                raise NodeError(
                    f"“{flat.address}” asks for “{name}”, which is a list; it takes one value.",
                    "Pick one element first.",
                    socket=name,
                )
            asked[name] = bound
            key = digest(key.encode(), name.encode(), canonical(ids(bound)))
            record = self._ground.store.record(ASKS + key)
        return key, asked, record is True

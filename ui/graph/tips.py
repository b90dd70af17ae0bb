"""What a tool tip over the graph says. No Qt."""

from __future__ import annotations

import html

from ui.graph.face import text_of, value_of, words
from ui.graph.layout import Part
from ui.graph.painter import PLAIN, Sight

_STATES = {
    "waiting": "Waits for its turn.",
    "running": "Runs now.",
    "ran": "Ran in {seconds:.2f} s.",
    "cached": "Nothing to do: its result is stored.",
    "skipped": "Took no part in the run.",
    "failed": "Failed.",
    "blocked": "Could not run: something before it failed.",
    "cancelled": "Was cancelled.",
}


def tip(sight: Sight, part: Part) -> str:
    """Rich text about one part of a node."""
    match part.kind:
        case "input":
            item = next((one for one in sight.face.inputs if one.name == part.name), None)
            lines = _socket(sight, part.name, item.type, item.many, item.doc) if item else []
            if item and item.optional:
                lines.append("It may stay unwired.")
        case "output":
            item = next((one for one in sight.face.outputs if one.name == part.name), None)
            lines = _socket(sight, part.name, item.type, item.many, item.doc) if item else []
        case "knob" | "knob_socket":
            lines = _knob(sight, part.name)
        case _:
            lines = [f"<b>{html.escape(sight.face.title)}</b>", html.escape(sight.face.doc), *_run(sight)]
    blamed = [one for one in sight.problems if one.socket == part.name or part.kind in ("header", "body")]
    lines += [html.escape(f"{one.title} {one.remedy}".strip()) for one in blamed]
    return "<br>".join(line for line in lines if line)


def _socket(sight: Sight, name: str, wire_type: str, many: bool, doc: str) -> list[str]:
    wire = sight.wires.get(wire_type, PLAIN)
    kind = f"list of {words(wire_type)}" if many else words(wire_type)
    heading = f"<b>{html.escape(words(name))}</b> · {html.escape(kind)}"
    return [heading, html.escape(doc), f"<i>{html.escape(wire.shape)}</i>"]


def _knob(sight: Sight, name: str) -> list[str]:
    knob = sight.face.knob(name)
    if knob is None:
        return []
    value = text_of(knob, value_of(sight.node, knob))
    shown = value if len(value) <= 60 else f"{value[:59]}…"
    lines = [f"<b>{html.escape(words(name))}</b> · {html.escape(shown)}", html.escape(knob.doc)]
    low, high = knob.options.get("min"), knob.options.get("max")
    if low is not None and high is not None and knob.kind != "seed":
        lines.append(f"{low} to {high}")
    if name in sight.fed:
        lines.append("A wire drives it.")
    return lines


def _run(sight: Sight) -> list[str]:
    if sight.status.state is None:
        return []
    said = _STATES[sight.status.state].format(seconds=sight.status.seconds)
    return [f"{said} {html.escape(sight.status.why)}".strip()]

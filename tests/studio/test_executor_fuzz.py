"""Executor and validation against documents that make no sense: nothing raises, nothing is left open."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.cache.store import Store
from studio.document import Content
from studio.events import Event, NodeChanged, RunStarted
from studio.executor import Executor, Request
from studio.flatten import flatten
from studio.graph import ROOT
from studio.validate import validate
from tests.studio import documents, rogues
from tests.studio.toys import calls

FINAL = {"ran", "cached", "skipped", "failed", "blocked"}
FAILS = {"broken", "quits", "picky", "asks_oddly"}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    documents.contents()
    | documents.sane_graphs().map(lambda graph: Content(id="sane", graphs={ROOT: graph})),
    st.sampled_from([0, 300, 1 << 24]),
)
def test_any_document_runs_to_an_end_that_is_told(document: Content, ram_bytes: int) -> None:
    store = Store(ram_bytes, None)
    events: list[Event] = []
    executor = Executor(rogues.REGISTRY, store, emit=events.append)
    request = Request("run", document, output_dir=Path("/nowhere"))
    try:
        planned = executor.plan(request)
        assert planned.to_json()
        finished = executor.run(request, threading.Event())
        assert finished.state in ("done", "failed")
        check_told(events, once=ram_bytes > 300)
        first = Counter(calls)
        events.clear()
        calls.clear()
        assert executor.run(request, threading.Event()).state == finished.state
        check_told(events, once=ram_bytes > 300)
        if ram_bytes > 300:
            assert set(calls) <= FAILS, first
    finally:
        calls.clear()
        executor.close()
        store.close()


def check_told(events: list[Event], *, once: bool) -> None:
    begun = events[0]
    assert isinstance(begun, RunStarted)
    states = dict(begun.states)
    told: Counter[tuple[str, str]] = Counter()
    for event in events:
        if isinstance(event, NodeChanged):
            states[event.node] = event.state
            told[event.node, event.state] += 1
    assert set(states.values()) <= FINAL, states
    assert not once or set(told.values()) <= {1}, told


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents.contents())
def test_validation_and_flattening_never_raise(document: Content) -> None:
    problems = validate(document, rogues.REGISTRY.catalogue())
    assert all(problem.title.endswith(".") for problem in problems)
    flat = flatten(document, rogues.REGISTRY.catalogue())
    assert set(flat.order) <= set(flat.nodes)
    assert not set(flat.nodes) & set(flat.skipped)

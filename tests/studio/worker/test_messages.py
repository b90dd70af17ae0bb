from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import events
from studio.worker import messages, protocol
from studio.worker.messages import MessageError, decode, encode

PICTURE = events.Picture(2, 1, bytes(range(6)))
ONE_OF_EACH = [
    protocol.RunRequest(
        "r", {"id": "d", "$odd": [1, 2.5, None, {"$t": []}]}, ("a", "b/c"), {"k": {"seed": 2**64 - 1}}
    ),
    protocol.PlanRequest("p", {}, ("a",), "/tmp"),
    protocol.CancelRun("r"),
    protocol.FetchPicture("f", "key", "image", 3, 128),
    protocol.UpgradeRequest("u", {"a": {"type": "core/x", "version": 1, "params": {"n": 1}}}),
    protocol.SetDevice("cuda"),
    protocol.CacheRequest("c", True),
    protocol.Quit(),
    protocol.Hello(1, 42),
    protocol.Package("core", {"specs": [("a", 1)]}, True),
    protocol.EngineReady("cpu", "bfloat16", "a CPU", ("auto", "cpu"), "sentence"),
    protocol.Memory(1, 2, 3),
    protocol.PlanReply("p", {"nodes": {}}, "why not"),
    protocol.PictureReply("f", 2, 1, 3, bytes(6)),
    protocol.UpgradeReply("u", {}, {"a": "no"}),
    protocol.CacheReply("c", 1, 2, 3, 4, "/tmp/ü\udcff"),
    events.RunStarted("r", {"a": "cached", "b": "waiting"}),
    events.NodeChanged("r", "a", "ran", 1, "because", "note"),
    events.Progress("r", "a", 1, 2, PICTURE),
    events.Progress("r", "a", 1, 2),
    events.NodeFailed("r", "a", "title", "remedy", "socket", "t5_vocabulary"),
    events.Result("r", "a", "image", "image", "key", 2),
    events.Saved("r", "a", "/tmp/x.png"),
    events.RunFinished("r", "superseded", 0.5, "cpu", "float32"),
]


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: object) -> None:
    arrived = decode(encode(message))
    assert arrived == message
    assert type(arrived) is type(message)


def test_every_kind_of_message_was_tried() -> None:
    kinds = {*messages.REQUESTS, *messages.REPLIES, *messages.EVENTS}
    assert {type(message) for message in ONE_OF_EACH} == kinds


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), VALUES))
def test_any_tree_of_builtins_arrives_unchanged(tree: dict[str, Any]) -> None:
    arrived = decode(encode(protocol.PlanRequest("p", tree)))
    assert arrived == protocol.PlanRequest("p", tree)
    assert repr(arrived) == repr(protocol.PlanRequest("p", tree))  # True is not 1, nor 1 1.0


class Sly:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    "value", [Sly(), object(), {1}, {1: 2}, bytearray(b"x"), protocol.EngineState("ready"), 1j, print]
)
def test_nothing_but_builtins_and_our_dataclasses_is_sent(value: object) -> None:
    with pytest.raises(MessageError):
        encode(protocol.PlanRequest("p", {"x": value}))  # type: ignore[dict-item]
    with pytest.raises(MessageError):
        encode(value)


def test_a_picture_alone_is_no_message() -> None:
    with pytest.raises(MessageError):
        encode(PICTURE)


def test_a_tree_that_is_too_deep_is_refused_at_both_ends() -> None:
    tree: Any = 1
    for _ in range(messages.MAX_DEPTH + 5):
        tree = [tree]
    with pytest.raises(MessageError, match="nested"):
        encode(protocol.PlanRequest("p", {"x": tree}))
    depth = 100_000
    with pytest.raises(MessageError):
        decode(_framed(b'{"$c":"PlanRequest","f":["p",' + b"[" * depth + b"]" * depth + b"]}"))


def _framed(head: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<I", len(head)) + head + body


HOSTILE = {
    "empty": b"",
    "short": b"\x01",
    "cut head": struct.pack("<I", 100) + b"{}",
    "no json": _framed(b"\x80\x04\x95"),
    "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    "a number": _framed(b"7"),
    "an object": _framed(b"{}"),
    "unknown class": _framed(b'{"$c":"Popen","f":[]}'),
    "state of the client": _framed(b'{"$c":"EngineState","f":["ready",""]}'),
    "class by path": _framed(b'{"$c":"os.system","f":["true"]}'),
    "too few fields": _framed(b'{"$c":"CancelRun","f":[]}'),
    "too many fields": _framed(b'{"$c":"CancelRun","f":["a","b"]}'),
    "wrong type": _framed(b'{"$c":"CancelRun","f":[7]}'),
    "bool for int": _framed(b'{"$c":"Hello","f":[true,1]}'),
    "unknown state": _framed(b'{"$c":"RunFinished","f":["r","exploded",1,"",""]}'),
    "wrong item": _framed(b'{"$c":"RunStarted","f":["r",{"a":7}]}'),
    "bytes beyond the end": _framed(b'{"$c":"PictureReply","f":["f",1,1,3,{"$b":[0,9]},""]}', b"123"),
    "bytes before the start": _framed(b'{"$c":"PictureReply","f":["f",1,1,3,{"$b":[-3,3]},""]}', b"123"),
    "bytes of no length": _framed(b'{"$c":"PictureReply","f":["f",1,1,3,{"$b":["a",3]},""]}', b"123"),
    "unknown mark": _framed(b'{"$c":"PlanRequest","f":["p",{"$x":1},{"$t":[]},""]}'),
    "huge number": _framed(b'{"$c":"Hello","f":[1,' + b"9" * 5000 + b"]}"),
    "class in a field": _framed(b'{"$c":"CancelRun","f":[{"$c":"Quit","f":[]}]}'),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_give_a_sentence(data: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        decode(data)
    assert str(caught.value).endswith(".")


def test_any_damage_to_a_message_gives_a_message_or_a_sentence() -> None:
    draw = random.Random(7)
    whole = [encode(message) for message in ONE_OF_EACH]
    for _ in range(3000):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            message = decode(bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.3 else data))
        except MessageError:
            continue
        assert type(message) in {*messages.REQUESTS, *messages.REPLIES, *messages.EVENTS}


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_BYTES", 1000)
    with pytest.raises(MessageError, match="limit"):
        encode(protocol.PictureReply("f", 1, 1, 3, bytes(1001)))
    with pytest.raises(MessageError):
        decode(bytes(1001))


def test_a_head_is_plain_json() -> None:
    data = encode(protocol.CancelRun("r"))
    assert json.loads(data[4:]) == {"$c": "CancelRun", "f": ["r"]}

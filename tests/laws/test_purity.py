"""Nodes are functions: called twice they give the same bytes, and what they were given stays as it was."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.cache import codec
from studio.types import ANY
from tests.laws import examples
from tests.laws.everything import NODES, registry


@pytest.fixture(autouse=True, scope="module")
def _tensors_can_be_stored() -> None:
    from studio.diffusion import tensors

    tensors.register()


PURE = [name for name in NODES if not registry().specs[name].sink]


@pytest.mark.parametrize("name", PURE)
def test_called_twice_a_node_gives_the_same_and_leaves_its_inputs_alone(name: str) -> None:
    inputs = examples.inputs(name)
    before = {item: codec.digest(value) for item, value in inputs.items()}
    knobs = examples.knobs(name)
    first = codec.digest(plain(examples.call(name, knobs, inputs)))
    assert {item: codec.digest(value) for item, value in inputs.items()} == before
    assert knobs == examples.knobs(name)
    assert codec.digest(plain(called(name))) == first


@pytest.mark.parametrize("name", PURE)
def test_every_output_is_of_the_type_it_says(name: str) -> None:
    spec = registry().specs[name]
    returned = examples.results(called(name))
    for output in spec.outputs:
        value = returned[output.name]
        for item in value if output.many else [value]:
            check(ANY if output.type == ANY else output.type, item)


@pytest.mark.parametrize("name", PURE)
def test_every_output_survives_the_cache(name: str) -> None:
    value = plain(called(name))
    encoded = codec.encode(value)
    assert codec.digest(codec.decode(encoded.header, encoded.buffers)) == codec.digest(value)


@pytest.mark.parametrize("name", [name for name in NODES if registry().specs[name].sink])
def test_a_sink_writes_and_leaves_its_inputs_alone(name: str, tmp_path: Path) -> None:
    inputs = examples.inputs(name)
    before = {item: codec.digest(value) for item, value in inputs.items()}
    examples.call(name, examples.knobs(name), inputs, tmp_path)
    assert {item: codec.digest(value) for item, value in inputs.items()} == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_check_would_notice_a_node_that_writes_to_its_input() -> None:
    image = np.zeros((1, 4, 4, 3), np.float32)
    before = codec.digest(image)
    image[0, 0, 0, 0] = 1
    assert codec.digest(image) != before


@functools.cache
def called(name: str) -> Any:
    """What a call with the examples gives; values are never written to, so the tests may share it."""
    return examples.call(name)


def plain(returned: Any) -> object:
    """Several outputs as a dict, which the codec takes without knowing the tuple's class."""
    fields = getattr(returned, "_asdict", None)
    return fields() if fields is not None else returned


def check(wire: str, value: object) -> None:
    """What `studio.types` says of a wire type, asked of a value."""
    scalars = {"int": int, "float": float, "bool": bool, "text": str}
    if wire in scalars:
        assert type(value) is scalars[wire]
    elif wire in ("image", "mask"):
        assert isinstance(value, np.ndarray)
        assert value.dtype == np.float32
        assert value.ndim == (4 if wire == "image" else 3)
        assert wire == "mask" or value.shape[-1] in (3, 4)
        assert value.min() >= 0
        assert value.max() <= 1
    elif wire == "latent":
        import torch

        samples = value.samples  # type: ignore[attr-defined]
        assert samples.dtype == torch.float32
        assert samples.device.type == "cpu"
        assert not samples.requires_grad
    elif wire != ANY:
        assert type(value).__wire__.name == wire  # type: ignore[attr-defined]

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from studio.cache import classes, codec
from studio.cache.codec import Raw
from studio.cache.disk import DiskTier
from studio.cache.store import Store
from studio.diffusion import tensors
from studio.types import Conditioning, ConditioningEntry, Latent

DTYPES = [name for name in codec.DTYPE_BYTES if name != "complex32"]  # torch itself warns of that one


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(classes.converters)
    tensors.register()
    yield
    classes.converters.clear()
    classes.converters.update(before)


def there_and_back(value: object) -> object:
    encoded = codec.encode(value)
    header = json.loads(json.dumps(encoded.header))
    return codec.decode(header, [memoryview(bytearray(buffer)) for buffer in encoded.buffers])


def of_bytes(name: str, count: int = 24) -> torch.Tensor:
    return (
        torch.arange(count, dtype=torch.uint8)
        .remainder(2 if name == "bool" else 120)
        .view(getattr(torch, name))
    )


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", DTYPES)
def test_tensors_of_every_dtype_come_back_bit_for_bit(name: str) -> None:
    flat = of_bytes(name, 96)
    for tensor in (flat, flat.reshape(2, -1), flat.reshape(3, -1).t(), flat[:0].reshape(0, 3), flat[0]):
        back = there_and_back(tensor)
        assert isinstance(back, torch.Tensor)
        assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
        assert bits(back) == bits(tensor)
        assert codec.digest(back) == codec.digest(tensor)


def test_digests_tell_dtype_shape_and_library_apart() -> None:
    ones = torch.ones(4)
    values = [
        ones,
        ones.double(),
        ones.bfloat16(),
        ones.half(),
        ones.reshape(2, 2),
        ones.numpy(),
        torch.ones(5),
    ]
    values += [of_bytes("float8_e4m3fn"), of_bytes("float8_e5m2"), of_bytes("uint8")]
    assert len({codec.digest(value) for value in values}) == len(values)


def test_layout_gradients_and_lazy_signs_do_not_show() -> None:
    plain = torch.arange(6.0).reshape(2, 3)
    wide = torch.zeros(2, 6)
    wide[:, ::2] = plain
    others = [
        wide[:, ::2],
        plain.t().contiguous().t(),
        plain.clone().requires_grad_(),
        torch.nn.Parameter(plain),
    ]
    assert {codec.digest(other) for other in others} == {codec.digest(plain)}
    turned = torch.tensor([1 + 2j, 3 - 4j])
    assert codec.digest(turned.conj()) == codec.digest(turned.conj().resolve_conj())
    assert bits(there_and_back(turned.conj().imag)) == bits(turned.conj().imag.resolve_neg())  # type: ignore[arg-type]


def test_contiguous_tensors_are_stored_and_loaded_without_a_copy() -> None:
    tensor = torch.arange(100.0)
    raw = tensors.to_raw(tensor)
    assert np.frombuffer(raw.data, np.uint8).ctypes.data == tensor.data_ptr()
    block = memoryview(bytearray(raw.data))
    back = tensors.from_raw(Raw("tensor", "float32", (100,), block))
    assert back.data_ptr() == np.frombuffer(block, np.uint8).ctypes.data


def test_read_only_bytes_are_copied_and_no_warning_said() -> None:
    back = tensors.from_raw(Raw("tensor", "float32", (2,), bytes(8)))
    back += 1
    assert back.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.eye(3).to_sparse(),
        torch.ones(3, device="meta"),
    ],
    ids=["sparse", "meta"],
)
def test_tensors_without_plain_bytes_are_refused_with_a_sentence(tensor: torch.Tensor) -> None:
    with pytest.raises(TypeError, match=r"A tensor of dtype .* cannot be stored in the cache\."):
        codec.encode([tensor])


def test_a_dtype_this_torch_lacks_is_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.DTYPE_BYTES, "float3", 1)
    for name in ("float3", "manual_seed"):
        monkeypatch.setitem(codec.DTYPE_BYTES, name, 1)
        with pytest.raises(ValueError, match=r".+"):
            codec.decode(["r", "tensor", name, [1], 0], [bytes(1)])


def test_wire_values_survive_the_disk(tmp_path: Path) -> None:
    latent = Latent(torch.randn(1, 4, 8, 8), 8, noise_mask=torch.ones(1, 8, 8))
    said = Conditioning(
        (ConditioningEntry(torch.randn(1, 7, 16), "d", span=(0.0, 0.5), extra={"size": [8, 8]}),)
    )
    store = Store(1 << 20, DiskTier(tmp_path, 1 << 20))
    header = store.put(
        "k", {"latent": latent, "said": said, "bf16": latent.samples.bfloat16()}, seconds=1.0, keep=True
    )
    assert header.nbytes > latent.samples.nbytes
    store.close()
    loaded = Store(1 << 20, DiskTier(tmp_path, 1 << 20)).load("k")
    assert loaded is not None
    back, entry = loaded["latent"], loaded["said"].entries[0]  # type: ignore[attr-defined]
    assert isinstance(back, Latent)
    assert torch.equal(back.samples, latent.samples)
    assert torch.equal(loaded["bf16"], latent.samples.bfloat16())  # type: ignore[arg-type]
    assert (entry.span, entry.extra, entry.pooled) == ((0.0, 0.5), {"size": [8, 8]}, None)
    assert torch.equal(entry.embeddings, said.entries[0].embeddings)


WITHOUT_TORCH = """
import sys
from pathlib import Path
from studio.cache import codec
from studio.cache.disk import DiskTier
from studio.cache.store import Store
store = Store(1 << 20, DiskTier(Path(sys.argv[1]), 1 << 20))
raw = store.load("k")["x"]
assert "torch" not in sys.modules
print(raw.dtype, raw.shape, bytes(raw.data).hex(), codec.digest(raw))
"""


def test_a_process_without_torch_reads_dtype_shape_bytes_and_digest(tmp_path: Path) -> None:
    tensor = torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn)
    store = Store(1 << 20, DiskTier(tmp_path, 1 << 20))
    store.put("k", {"x": tensor}, seconds=1.0, keep=True)
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["float8_e4m3fn", "(2,)", bits(tensor).hex(), codec.digest(tensor)]


@pytest.mark.parametrize("shape", [(2, 3), (), (0, 3)])
def test_a_borrowed_array_shares_memory_and_outlives_its_owner(shape: tuple[int, ...]) -> None:
    array = np.full(shape, 7, np.float32)
    array.flags.writeable = False
    tensor = tensors.borrow(array)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, shape)
    assert not array.size or tensor.data_ptr() == array.ctypes.data
    del array
    gc.collect()
    assert bool((tensor == 7).all())


def test_a_borrowed_array_may_lie_in_any_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert tensors.borrow(array).tolist() == array.tolist()

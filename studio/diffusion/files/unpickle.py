"""Turn a pickled checkpoint into a safetensors file: a program that `studio.models.convert` starts.

Called as ``python unpickle.py SOURCE RESULT``, it imports nothing of the application, so that it can run
with an interpreter that sees nothing else. It writes RESULT and prints a line of JSON: ``{}``, or why not.
"""

from __future__ import annotations

import contextlib
import json
import pickletools
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

_CHUNK_BYTES = 16 * 2**20
_SPARE_BYTES = 2**30
_TENSORS = 200_000
_DEEP = 8
# Where a file has one of these, its weights are in it, and all else is about the training.
_WRAPPERS = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict", "string_to_param")
# Classes that trainers leave in their checkpoints beside the weights; read as empty shells.
_SHELLS = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "numpy.", "omegaconf.", "argparse.")
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """Why a file is not converted: a word that the caller makes a sentence of, and what it concerns."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail[:300]


class _Shell:
    """Stands for an object that is no tensor: takes anything, keeps nothing, does nothing."""

    def __new__(cls, *_: object) -> _Shell:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _Parameters(dict[str, Any]):
    """Stands for torch's ParameterDict, in which the first embeddings were kept: its tensors by name."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.update(state.get("_parameters", {}))


def read(source: Path) -> Any:
    """Unpickle tensors and plain containers; nothing else is made, and no code of the file runs.

    Raises:
        Refusal: The file wants other objects, or is none that torch has written.
    """
    kept = (_Parameters, "torch.nn.modules.container.ParameterDict")
    cast("Any", torch.serialization).add_safe_globals([kept, *_shells(source)])
    try:
        with contextlib.suppress(RuntimeError, ValueError):
            return torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        # What torch wrote before version 1.6 cannot be mapped.
        return torch.load(source, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise Refusal("size") from error
    except Exception as error:
        raise _refusal(source, error) from error


def _refusal(source: Path, error: Exception) -> Refusal:
    """Why torch has failed to read a file."""
    text = str(error)
    with source.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if isinstance(error, EOFError) or "nexpected EOF" in text or (is_zip and not zipfile.is_zipfile(source)):
        return Refusal("cut")
    named = re.search(r"GLOBAL ([\w.]+)", text) or re.search(r"function (.+)", text)
    asked = named[1] if named else "" if is_zip else _asked(source)
    if asked:
        return Refusal("code", asked)
    if not is_zip or "eights only load failed" in text:
        return Refusal("alien")
    return Refusal("unreadable", text.partition("\n")[0])


def _asked(source: Path) -> str:
    """The first thing that is not torch's own that a bare pickle asks for; nothing of it is run."""
    texts: list[str] = []
    with source.open("rb") as file, contextlib.suppress(Exception):  # torch has told already that it is wrong
        for code, value, _ in pickletools.genops(file):
            name = ""
            if code.name in ("GLOBAL", "INST"):
                name = str(value).replace(" ", ".")
            elif code.name == "STACK_GLOBAL":
                name = ".".join(texts)
            elif isinstance(value, str):
                texts = [*texts[-1:], value]
            if name and not name.startswith(("torch.", "collections.")):
                return name
    return ""


def _shells(source: Path) -> list[Any]:
    """A shell for each harmless class that a file names."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(source)
    except Exception:  # noqa: BLE001 - whatever is wrong with it is told when it is read
        return []
    return [(type("Shell", (_Shell,), {}), name) for name in names if name.startswith(_SHELLS)]


def flat(found: Any) -> dict[str, torch.Tensor]:
    """Tensors of nested dictionaries, their keys joined by dots; the usual wrappers are left out.

    Raises:
        Refusal: There is no tensor, or too many.
    """
    if isinstance(found, torch.Tensor):
        found = {"tensor": found}
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(cast("Any", found).get(name), Mapping):
            found = cast("Any", found)[name]
    tensors = dict(_tensors(found, "", 0))
    if not tensors:
        raise Refusal("empty")
    if len(tensors) > _TENSORS:
        raise Refusal("size")
    return tensors


def _tensors(found: Any, prefix: str, depth: int) -> Iterator[tuple[str, torch.Tensor]]:
    if not isinstance(found, Mapping) or depth > _DEEP:
        return
    for name, value in cast("Mapping[object, object]", found).items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value.detach()
        else:
            yield from _tensors(value, f"{prefix}{name}.", depth + 1)


def write(tensors: Mapping[str, torch.Tensor], file: BinaryIO, limit_bytes: int) -> None:
    """Write a safetensors file a piece at a time; tensors that share memory each get their own.

    Raises:
        Refusal: A tensor has a format that the file cannot hold, or they claim more than `limit_bytes`.
    """
    # Larger elements first, so that every tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {}
    end = 0
    for name, tensor in ordered:
        if tensor.layout != torch.strided or tensor.dtype not in _NAMES or tensor.device.type != "cpu":
            raise Refusal("format", f"{name} ({tensor.dtype})")
        begin, end = end, end + tensor.numel() * tensor.element_size()
        entry = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        header[name] = entry
    if end > limit_bytes:
        raise Refusal("size")
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    file.write(len(head).to_bytes(8, "little") + head)
    for _, tensor in ordered:
        if tensor.numel():
            data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
            for start in range(0, len(data), _CHUNK_BYTES):
                file.write(data[start : start + _CHUNK_BYTES])


def _limit(size: int) -> None:
    """Let the process have little more memory than the file needs, and let it write little more."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_text("ascii").split()[5]) * resource.getpagesize()
    if used:
        most = used + 2 * size + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(source: Path, result: Path) -> None:
    """Convert `source`; see the module."""
    said: dict[str, str] = {}
    try:
        size = source.stat().st_size
        _limit(size)
        with result.open("wb") as file:
            write(flat(read(source)), file, 2 * size + _CHUNK_BYTES)
    except Refusal as refusal:
        said = {"reason": refusal.reason, "detail": refusal.detail}
    except (MemoryError, RuntimeError) as error:
        said = {
            "reason": "size" if isinstance(error, MemoryError) else "unreadable",
            "detail": str(error)[:300],
        }
    except OSError as error:
        said = {"reason": "disk", "detail": error.strerror or str(error)}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

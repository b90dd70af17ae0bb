"""Fetching a file from the hub, because a person asked for it and for no other reason. Free of torch.

The application itself is told to stay offline, so the fetching is done by a process of its own, which is told
otherwise: ``python -m studio.models.download REPOSITORY FILE FOLDER``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio import paths
from studio.errors import FileError

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_LOOK_S = 0.05
_LIMIT_S = 3600.0
_LINE = 300
T5_VOCABULARY = ("google/t5-v1_1-xxl", "spiece.model")
"""Repository and file of the vocabulary that every T5 of Stable Diffusion 3 and Flux was trained with."""


def t5_folder() -> Path:
    """Where the vocabulary is kept for every T5 that comes without one."""
    return paths.data_dir() / "models" / "t5"


def t5_vocabulary(check: Callable[[], None]) -> Path:
    """Fetch T5's vocabulary to where every T5 finds it; see `fetch`."""
    return fetch(*T5_VOCABULARY, t5_folder() / T5_VOCABULARY[1], check)


def fetch(repository: str, name: str, target: Path, check: Callable[[], None]) -> Path:
    """Fetch a file of a repository of the hub.

    Args:
        repository: Owner and name, ``google/t5-v1_1-xxl``.
        name: Of the file in it.
        target: Where it is put, whole or not at all.
        check: Called twenty times a second; may raise, and then nothing is left behind.

    Raises:
        FileError: There is no way to the hub, no such file, or no room.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            _run(repository, name, Path(folder), check)
            (Path(folder) / name).replace(target)
    except OSError as error:
        raise _refusal(repository, name, error.strerror or str(error)) from error
    return target


def _run(repository: str, name: str, folder: Path, check: Callable[[], None]) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in _OFFLINE}
    command = [sys.executable, "-P", "-m", "studio.models.download", repository, name, str(folder)]
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        )
        end = time.monotonic() + _LIMIT_S
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
                check()
                if time.monotonic() > end:
                    raise _refusal(repository, name, f"it took more than {_LIMIT_S / 60:.0f} minutes")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
    if process.returncode or not (folder / name).is_file():
        raise _refusal(repository, name, lines[-1][:_LINE] if lines else f"exit code {process.returncode}")


def _refusal(repository: str, name: str, reason: str) -> FileError:
    return FileError(
        f"{name} of {repository} could not be fetched: {reason.rstrip('.')}.",
        "Look whether there is a way to the internet, or copy the file by hand.",
    )


def main(repository: str, name: str, folder: str) -> int:
    """Fetch into a folder; the process that `fetch` starts."""
    import huggingface_hub

    try:
        hub: Any = huggingface_hub
        found = hub.hf_hub_download(repository, name, cache_dir=Path(folder) / "cache")
        shutil.copyfile(found, Path(folder) / name)
    except Exception as error:  # noqa: BLE001 - told by the process that waits
        sys.stderr.write(f"\n{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))

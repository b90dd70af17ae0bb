"""Nodes that are slow, fail or take the process down: for tests of the engine and of the command line."""

import os
import signal
import time
from typing import Annotated, Literal, NamedTuple

import numpy as np

from studio.api import Context, Image, NodeError, Picture, Range, node


@node("constant", category="Toys")
def constant(*, value: Annotated[int, Range(0, 100)] = 1) -> int:
    """Give a whole number.

    Args:
        value: The number.
    """
    return value


@node("slow", category="Toys")
def slow(
    ctx: Context,
    number: int,
    *,
    steps: Annotated[int, Range(1, 10_000)] = 3,
    step_s: Annotated[float, Range(0, 10)] = 0.01,
) -> Image:
    """Take a while and give a grey picture.

    Args:
        number: Its shade, of 255.
        steps: How many.
        step_s: How long each takes, in seconds.
    """
    for step in range(steps):
        ctx.progress(step, steps, Picture(1, 1, bytes([step % 256] * 3)))
        time.sleep(step_s)
    return np.full((1, 4, 6, 3), number / 255, np.float32)


class Parts(NamedTuple):
    """A picture in two parts."""

    image: Image
    """What is in front."""
    rest: Image
    """What is left: black."""


@node("part", category="Toys", shows=True)
def part(number: int) -> Parts:
    """Give a grey picture and a black one.

    Args:
        number: The shade of the first, of 255.
    """
    grey = np.full((1, 4, 6, 3), number / 255, np.float32)
    return Parts(grey, np.zeros_like(grey))


@node("found", category="Toys", shows=True)
def found() -> Image:
    """Give a black picture that was there before."""
    return np.zeros((1, 4, 6, 3), np.float32)


@node("lighter", category="Toys", shows=True)
def lighter(image: Image, *, by: Annotated[float, Range(0, 1)] = 0.5) -> Image:
    """Give a lighter picture.

    Args:
        image: What to make lighter.
        by: How much.
    """
    return np.clip(image + np.float32(by), 0, 1)


@node("die", category="Toys")
def die(
    ctx: Context,
    number: int,
    *,
    how: Literal["kill", "crash", "abort", "exit"] = "kill",
    unless: str = "",
) -> int:
    """End the process that runs it.

    Args:
        number: Given on, should it survive.
        how: The way to go.
        unless: A file; while it exists, nothing happens.
    """
    ctx.progress(1, 2)
    if unless and os.path.exists(unless):
        return number
    time.sleep(0.1)  # long enough for what was said to reach the editor
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    signal.raise_signal(signal.SIGKILL if how == "kill" else signal.SIGSEGV)
    return number


@node("refuse", category="Toys")
def refuse(number: int) -> int:
    """Fail with a sentence.

    Args:
        number: Anything.
    """
    raise NodeError(f"{number} is not to my taste.", "Try another number.", socket="number")


@node("refuse_at_once", category="Toys", instant=True)
def refuse_at_once(*, number: int = 1) -> int:
    """Fail with a sentence as soon as anybody asks.

    Args:
        number: Anything.
    """
    raise NodeError(f"{number} is not to my taste.", "Try another number.")


@node("stuck", category="Toys")
def stuck(ctx: Context, number: int, *, seconds: Annotated[float, Range(0, 1000)] = 100.0) -> int:
    """Sleep without ever looking whether it was cancelled.

    Args:
        number: Given on.
        seconds: How long.
    """
    ctx.progress(0, 1)
    time.sleep(seconds)
    return number


@node("write", category="Toys", sink=True)
def write(ctx: Context, image: Image, *, name: str = "toy.bin") -> None:
    """Save the bytes of a picture.

    Args:
        image: What to save.
        name: File name.
    """
    ctx.facts.output_dir.mkdir(parents=True, exist_ok=True)
    path = ctx.facts.output_dir / name
    path.write_bytes(image.tobytes())
    ctx.saved(path)


@node("show", category="Toys", shows=True)
def show(number: int) -> int:
    """Ask for a number to be made.

    Args:
        number: Given on.
    """
    return number

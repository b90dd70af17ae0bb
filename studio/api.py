"""The public face for node authors: import this, and inside bodies `studio.diffusion.api`; nothing else."""

from studio.context import Context, RunFacts
from studio.declare import Extension, File, Knob, Range, Schedule, Seed, Solver, Text, node
from studio.errors import Cancelled, NodeError
from studio.events import Picture
from studio.types import (
    Conditioning,
    ConditioningEntry,
    Guider,
    Image,
    Json,
    Latent,
    Mask,
    Model,
    Noise,
    Patch,
    Recipe,
    Sigmas,
    SolverChoice,
    TextEncoder,
    Vae,
    WireType,
    wire,
)

__all__ = [
    "Cancelled",
    "Conditioning",
    "ConditioningEntry",
    "Context",
    "Extension",
    "File",
    "Guider",
    "Image",
    "Json",
    "Knob",
    "Latent",
    "Mask",
    "Model",
    "NodeError",
    "Noise",
    "Patch",
    "Picture",
    "Range",
    "Recipe",
    "RunFacts",
    "Schedule",
    "Seed",
    "Sigmas",
    "Solver",
    "SolverChoice",
    "Text",
    "TextEncoder",
    "Vae",
    "WireType",
    "node",
    "wire",
]

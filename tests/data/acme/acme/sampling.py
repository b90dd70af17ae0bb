"""Everything but nodes and wires that a package may declare, by name; nothing is imported for it."""

from studio.api import Extension

midpoint = Extension("solver", "acme_midpoint", "acme._sampling:midpoint", "Two model calls a step.")
even = Extension("schedule", "acme_even", "acme._sampling:even", "Noise levels at even distances.")
steady = Extension("guider", "acme_steady", "acme._sampling:steady", "Guidance of unchanged length.")
soften = Extension("patch", "acme_soften", "acme._sampling:SOFTEN", "Makes the grey less bright.")
outline = Extension("preprocessor", "acme_outline", "acme._sampling:outline", "Where brightness changes.")
grey = Extension("family", "acme_grey", "acme._family:GREY", "A denoiser that sees grey everywhere.")
gone = Extension("solver", "acme_gone", "acme._gone:solver", "Declared, but missing from the package.")

"""A model of the package's own family."""

from typing import Annotated

from studio.api import Model, Range, Recipe, node


@node("load_grey", category="Acme/Loaders", instant=True)
def load_grey(*, level: Annotated[float, Range(-1, 1, step=0.1)] = 0.0) -> Model:
    """Give a model that takes every noisy picture for plain grey.

    Args:
        level: Which grey, in the latent's own scale.
    """
    return Model(Recipe("", repr(level), "unet", "acme_grey"))

"""Nodes that read and write picture files."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from studio.api import Context, File, Image, Mask, node


class Pictures(NamedTuple):
    """What a file, or every picture file of a folder, shows.

    Attributes:
        image: Pictures, upright, in sRGB; with alpha where the file has it.
        mask: Where each is transparent.
    """

    image: list[Image]
    mask: list[Mask]


@node("load_image", category="Image", shows=True, synonyms=("LoadImage", "Load Image", "open", "folder"))
def load_image(
    ctx: Context,
    *,
    path: Annotated[str, File(content="image", folder=True)] = "",
) -> Pictures:
    """Read a picture, or all pictures of a folder in natural order; what follows is done for each.

    Args:
        path: Picture file, or a folder of them.
    """
    from studio.files.pictures import listed, read

    pictures: list[Image] = []
    masks: list[Mask] = []
    for file in listed(path):
        ctx.check()
        picture, mask = read(file)
        pictures.append(picture)
        masks.append(mask)
    return Pictures(pictures, masks)


@node("save_image", category="Image", sink=True, synonyms=("SaveImage", "Save Image", "export", "PNG"))
def save_image(
    ctx: Context,
    image: Image,
    *,
    name: str = "{date}_{counter}",
    folder: str = "",
    workflow: bool = True,
    depth: Literal["8 bit", "16 bit"] = "8 bit",
) -> None:
    """Save each picture as a PNG file.

    Args:
        image: Pictures to save, one file each.
        name: File name. {date}, {time}, {counter}, {seed} and any knob such as {k_sampler.steps} are
            filled in; a / makes a folder.
        folder: Where to save; left empty, the output folder of the application.
        workflow: Write the workflow into the file, so that dropping it on the window opens the graph.
        depth: Bits for each colour.
    """
    from studio.files.names import Naming
    from studio.files.png import save

    naming = Naming(name, folder, ctx.facts)
    document = ctx.facts.document if workflow else None
    for picture in image:
        ctx.check()
        with naming.reserve(".png") as path:
            save(path, picture, document, bits=8 if depth == "8 bit" else 16)
        ctx.saved(path)

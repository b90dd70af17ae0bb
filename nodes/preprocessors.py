"""Nodes that make of a picture what control networks follow, by filters alone; and those filters by name."""

from __future__ import annotations

from typing import Annotated

from studio.api import Context, Extension, Image, Knob, Range, Seed, node

_EDGES, _HINTS = "studio.raster.edges", "studio.raster.hints"

canny_filter = Extension("preprocessor", "canny", f"{_EDGES}:canny", "Thin edges.")
line_art_filter = Extension("preprocessor", "line_art", f"{_EDGES}:line_art", "Lines of what is darker.")
soft_edge_filter = Extension("preprocessor", "soft_edge", f"{_EDGES}:soft_edge", "Broad soft edges.")
scribble_filter = Extension("preprocessor", "scribble", f"{_EDGES}:scribble", "Coarse strokes.")
threshold_filter = Extension("preprocessor", "threshold", f"{_EDGES}:thresholded", "Black and white.")
tile_filter = Extension("preprocessor", "tile", f"{_HINTS}:tile", "Without fine detail.")
blur_filter = Extension("preprocessor", "blur", f"{_HINTS}:blur", "Out of focus.")
colour_filter = Extension("preprocessor", "colour", f"{_HINTS}:colours", "Colours of cells alone.")
invert_filter = Extension("preprocessor", "invert", f"{_HINTS}:inverted", "Light as dark.")
shuffle_filter = Extension("preprocessor", "shuffle", f"{_HINTS}:shuffled", "Colours without content.")
normal_filter = Extension("preprocessor", "normal", f"{_HINTS}:normals_from_depth", "Slopes of a depth map.")

Part = Annotated[float, Range(0, 1, step=0.01)]
Gain = Annotated[float, Range(0, 10, step=0.1)]


@node(
    "preprocess",
    category="Preprocessors",
    shows=True,
    synonyms=("AIO_Preprocessor", "annotator", "ControlNet preprocessor"),
)
def preprocess(
    ctx: Context,
    image: Image,
    *,
    preprocessor: Annotated[str, Knob("choice", {"extension": "preprocessor"})] = "canny",
) -> Image:
    """Apply any preprocessor that is installed, with its usual settings.

    Args:
        image: Picture to work on.
        preprocessor: Which one.
    """
    return ctx.extension("preprocessor", preprocessor)(image)


@node("canny", category="Preprocessors", shows=True, synonyms=("Canny", "CannyEdgePreprocessor", "edges"))
def canny(
    image: Image, *, low: Part = 0.4, high: Part = 0.8, blur: Annotated[float, Range(0, 20, step=0.5)] = 0.0
) -> Image:
    """Find thin edges.

    Args:
        image: Picture to work on.
        low: How strong an edge must be to go on.
        high: How strong it must be to begin.
        blur: Blurs the picture first, by so many pixels, against noise.
    """
    from studio.raster import edges

    return edges.canny(image, low, high, blur)


@node(
    "line_art",
    category="Preprocessors",
    shows=True,
    synonyms=("LineArtPreprocessor", "lineart", "drawing", "DoG"),
)
def line_art(
    image: Image, *, width: Annotated[float, Range(0.5, 20, step=0.5)] = 1.5, gain: Gain = 1.0
) -> Image:
    """Draw what is darker than its surroundings as white lines, by the difference of two blurs.

    Args:
        image: Picture to work on; drawings come out best.
        width: About the width of lines in pixels.
        gain: How bright they become.
    """
    from studio.raster import edges

    return edges.line_art(image, width, gain)


@node(
    "soft_edge",
    category="Preprocessors",
    shows=True,
    synonyms=("HEDPreprocessor", "PiDiNetPreprocessor", "HED", "PiDiNet", "softedge"),
)
def soft_edge(image: Image, *, detail: Part = 0.5, gain: Gain = 1.0) -> Image:
    """Draw broad soft edges where colours change, at three sizes; by filters, without the network HED.

    Args:
        image: Picture to work on.
        detail: How much fine edges count against coarse ones.
        gain: How bright edges become.
    """
    from studio.raster import edges

    return edges.soft_edge(image, detail, gain)


@node("scribble", category="Preprocessors", shows=True, synonyms=("ScribblePreprocessor", "sketch", "doodle"))
def scribble(
    image: Image, *, threshold: Part = 0.4, width: Annotated[int, Range(1, 64, step=1)] = 3
) -> Image:
    """Draw coarse white strokes along the strongest edges.

    Args:
        image: Picture to work on.
        threshold: How strong an edge must be.
        width: Of the strokes in pixels.
    """
    from studio.raster import edges

    return edges.scribble(image, threshold, width)


@node("threshold_image", category="Preprocessors", shows=True, synonyms=("BinaryPreprocessor", "binary"))
def threshold_image(image: Image, *, level: Part = 0.5) -> Image:
    """Make a picture black and white.

    Args:
        image: Picture to work on.
        level: From which brightness on it is white.
    """
    from studio.raster import edges

    return edges.thresholded(image, level)


@node(
    "tile_hint", category="Preprocessors", shows=True, synonyms=("TilePreprocessor", "tile_resample", "tile")
)
def tile_hint(image: Image, *, factor: Annotated[float, Range(1, 64, step=0.5)] = 4.0) -> Image:
    """Leave fine detail out of a picture, for control networks that put in new one.

    Args:
        image: Picture to work on.
        factor: How many times smaller it is made before it is enlarged again.
    """
    from studio.raster import hints

    return hints.tile(image, factor)


@node("blur_image", category="Preprocessors", shows=True, synonyms=("ImageBlur", "TTPlanet", "Gaussian blur"))
def blur_image(image: Image, *, radius: Annotated[float, Range(0, 256, step=1)] = 8.0) -> Image:
    """Blur a picture.

    Args:
        image: Picture to work on.
        radius: Standard deviation of the Gaussian in pixels.
    """
    from studio.raster import hints

    return hints.blur(image, radius)


@node("colour_hint", category="Preprocessors", shows=True, synonyms=("ColorPreprocessor", "color", "mosaic"))
def colour_hint(image: Image, *, cell: Annotated[int, Range(2, 512, step=8)] = 64) -> Image:
    """Leave only the mean colours of square cells.

    Args:
        image: Picture to work on.
        cell: Side of a cell in pixels.
    """
    from studio.raster import hints

    return hints.colours(image, cell)


@node(
    "invert_image", category="Preprocessors", shows=True, synonyms=("ImageInvert", "Invert Image", "negative")
)
def invert_image(image: Image) -> Image:
    """Turn light into dark; black lines on white become white on black.

    Args:
        image: Picture to work on.
    """
    from studio.raster import hints

    return hints.inverted(image)


@node(
    "shuffle_image", category="Preprocessors", shows=True, synonyms=("ShufflePreprocessor", "content shuffle")
)
def shuffle_image(
    image: Image, *, size: Annotated[float, Range(0.05, 1, step=0.05)] = 0.25, seed: Seed = 0
) -> Image:
    """Warp a picture beyond recognition: colours and textures stay, what it shows is lost.

    Args:
        image: Picture to work on.
        size: Of the swirls, in parts of the longer side.
        seed: Another seed warps otherwise.
    """
    from studio.raster import hints

    return hints.shuffled(image, size, seed)


@node(
    "normal_map", category="Preprocessors", shows=True, synonyms=("normal map", "MiDaS-NormalMapPreprocessor")
)
def normal_map(
    image: Image, *, strength: Annotated[float, Range(0.01, 50, step=0.1)] = 1.0, background: Part = 0.0
) -> Image:
    """Tell which way surfaces look, from a picture of depth.

    Args:
        image: Depth: bright is near.
        strength: How steep slopes become.
        background: What is darker faces the eye.
    """
    from studio.raster import hints

    return hints.normals_from_depth(image, strength, background)

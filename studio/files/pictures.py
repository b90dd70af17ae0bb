"""Picture files to pixels: upright, in sRGB, with alpha kept, 16 bits and floats kept too."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from studio.errors import NodeError
from studio.types import Image, Mask

if TYPE_CHECKING:
    from PIL import Image as PilImage

LIMIT_PIXELS = 300_000_000
# EPS would start Ghostscript on a stranger's file, PDF and movies are no pictures: only these are opened.
# fmt: off
_FORMATS = (
    "PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "PCX",
    "QOI",
)
_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k", ".ico", ".pcx", ".qoi",
}
# fmt: on
_BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError, RuntimeError),
)
_ORIENTATION, _BITS = 274, 258


def listed(path: str) -> list[Path]:
    """The picture files a path means: itself, or those of a folder in natural order.

    Raises:
        NodeError: Nothing is there.
    """
    if not path:
        raise NodeError("No picture is chosen.", "Choose a picture or a folder of them.", socket="path")
    place = Path(path).expanduser()
    if not place.is_dir():
        return [place]
    found = [file for file in place.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file()]
    if not found:
        raise NodeError(f"There are no pictures in {place}.", "Choose another folder.", socket="path")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Key by which picture 2 comes before picture 10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read(path: Path) -> tuple[Image, Mask]:
    """Read one picture; of an animation, the first frame.

    Returns:
        The picture ``[1, H, W, 3 or 4]``, and a mask ``[1, H, W]`` that is 1 where it is transparent.

    Raises:
        NodeError: It is missing, no picture, damaged, cut short, or of more than 300 megapixels.
    """
    from PIL import Image as PilImage

    try:
        data = path.read_bytes()
    except OSError as error:
        raise NodeError(
            f"{path} cannot be read: {error.strerror}.", "Choose another file.", socket="path"
        ) from error
    # Pillow's own limit is lower than ours, and a warning before it is an error.
    PilImage.MAX_IMAGE_PIXELS = None
    try:
        with PilImage.open(io.BytesIO(data), formats=_known_formats()) as opened:
            _check_size(path, opened)
            opened.load()
            pixels = _deep(data) if _is_deep(opened, data) else None
            if pixels is None or _foreign_profile(opened):
                pixels = _shallow(opened)
            pixels = _upright(pixels, _orientation(opened))
    except PilImage.UnidentifiedImageError as error:
        raise NodeError(
            f"{path.name} is no picture that can be read here.",
            "Choose a PNG, JPEG, WebP or TIFF file.",
            socket="path",
        ) from error
    except _BROKEN as error:
        raise NodeError(
            f"{path.name} is damaged or cut short: {error}.", "Choose another copy of it.", socket="path"
        ) from error
    picture = np.ascontiguousarray(pixels[None], dtype=np.float32)
    if picture.shape[3] == 4:
        return picture, np.subtract(1.0, picture[..., 3], dtype=np.float32)
    return picture, np.zeros(picture.shape[:3], np.float32)


def _known_formats() -> list[str]:
    from PIL import Image as PilImage

    PilImage.init()
    return [name for name in _FORMATS if name in PilImage.OPEN]


def _check_size(path: Path, opened: PilImage.Image) -> None:
    width, height = opened.size
    if width * height > LIMIT_PIXELS:
        raise NodeError(
            f"{path.name} is {width}×{height} px: {width * height / 1e6:,.0f} megapixels, "
            f"of which {LIMIT_PIXELS / 1e6:,.0f} can be read.",
            "Make it smaller first.",
            socket="path",
        )


def _orientation(opened: PilImage.Image) -> int:
    return int(cast("int", opened.getexif().get(_ORIENTATION, 1)))


def _is_deep(opened: PilImage.Image, data: bytes) -> bool:
    """Whether a channel has more than 8 bits, which Pillow would drop."""
    if opened.format == "PNG":
        return data[24] == 16
    if opened.format == "TIFF":
        bits: Any = cast("Any", opened).tag_v2.get(_BITS, 8)
        return int(np.max(bits)) > 8
    return opened.mode in ("I;16", "I;16B", "F")


def _deep(data: bytes) -> NDArray[np.float32] | None:
    """Pixels of 16 bits or floats, by OpenCV; None if it does not know the file."""
    import cv2

    found = cast("NDArray[Any] | None", cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if found is None:
        return None
    whole = {"uint8": 255.0, "uint16": 65535.0}.get(found.dtype.name, 1.0)
    pixels = np.nan_to_num(np.asarray(found / whole, np.float32)).clip(0, 1)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    order = {1: [0, 0, 0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    return pixels[:, :, order]


def _foreign_profile(opened: PilImage.Image) -> Any:
    """The colour profile if it is another than sRGB, else None; one that cannot be read counts as none."""
    from PIL import ImageCms

    data = cast("bytes | None", opened.info.get("icc_profile"))
    if not data:
        return None
    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(data))
        described = ImageCms.getProfileDescription(profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if "srgb" in described.lower() else profile


def _shallow(opened: PilImage.Image) -> NDArray[np.float32]:
    """Pixels of 8 bits, by Pillow, turned to sRGB."""
    has_alpha = opened.has_transparency_data
    picture = opened
    if picture.mode in ("P", "PA", "1", "LA", "La", "RGBa"):
        picture = picture.convert("RGBA" if has_alpha else "RGB")
    profile = _foreign_profile(opened)
    alpha = picture.convert("RGBA").getchannel("A") if has_alpha else None
    colours = _to_srgb(picture, profile) if profile is not None else picture.convert("RGB")
    pixels = np.asarray(colours, np.float32) / np.float32(255)
    if alpha is None:
        return pixels
    return np.dstack([pixels, np.asarray(alpha, np.float32) / np.float32(255)])


def _to_srgb(picture: PilImage.Image, profile: Any) -> PilImage.Image:
    from PIL import ImageCms

    source = picture.convert("RGB") if picture.mode == "RGBA" else picture
    try:
        target: Any = cast("Any", ImageCms).createProfile("sRGB")
        turned = ImageCms.profileToProfile(source, profile, target, outputMode="RGB")
    except ImageCms.PyCMSError:
        # A profile made for other channels than the picture has: its colours are taken as they are.
        return picture.convert("RGB")
    return cast("PilImage.Image", turned)


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo a camera's orientation (EXIF 1–8)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels

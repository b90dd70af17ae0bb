from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from studio.errors import NodeError
from studio.files import pictures
from studio.files.pictures import listed, read

RNG = np.random.default_rng(0)


def save(path: Path, array: Any, mode: str | None = None, **options: Any) -> Path:
    picture = Image.fromarray(np.asarray(array, np.uint8))
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def gradient(height: int = 6, width: int = 8) -> np.ndarray[Any, Any]:
    red, green = np.mgrid[0:height, 0:width]
    return np.stack([red * 255 // height, green * 255 // width, np.full((height, width), 40)], 2)


def bits(image: Any) -> np.ndarray[Any, Any]:
    return np.rint(image[0] * 255).astype(int)


def test_plain_picture_comes_as_floats_with_an_empty_mask(tmp_path: Path) -> None:
    image, mask = read(save(tmp_path / "a.png", gradient()))
    assert image.shape == (1, 6, 8, 3)
    assert image.dtype == mask.dtype == np.float32
    assert np.array_equal(bits(image), gradient())
    assert mask.shape == (1, 6, 8)
    assert not mask.any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation_is_undone_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / "a.png", gradient(), exif=exif)
    image, _ = read(path)
    with Image.open(path) as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(bits(image), wanted)


def test_rotated_jpeg_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = 255
    image, _ = read(save(tmp_path / "a.jpg", np.rot90(upright), exif=exif, quality=95))
    assert image.shape == (1, 16, 32, 3)
    assert image[0, :, :12].min() > 0.9
    assert image[0, :, 20:].max() < 0.1


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    image, _ = read(save(tmp_path / "a.jpg", red, "CMYK", quality=95))
    assert image.shape[3] == 3
    assert np.allclose(image[0, 4, 4], [1, 0, 0], atol=0.03)


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (5, 7, 3), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", deep[:, :, ::-1])[1].tobytes())
    image, _ = read(path)
    assert np.array_equal(np.rint(image[0] * 65535), deep)


def test_sixteen_bits_keep_alpha_and_grey(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (5, 7, 4), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", deep[:, :, [2, 1, 0, 3]])[1].tobytes())
    image, mask = read(path)
    assert np.array_equal(np.rint(image[0] * 65535), deep)
    assert np.allclose(mask[0], 1 - deep[..., 3] / 65535, atol=1e-6)
    path.write_bytes(cv2.imencode(".png", deep[:, :, 0])[1].tobytes())
    image, _ = read(path)
    assert np.array_equal(np.rint(image[0] * 65535), np.repeat(deep[:, :, :1], 3, 2))


def test_float_tiff_is_clipped_to_the_range(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.25], [0.5, 9.0]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    image, _ = read(tmp_path / "a.tif")
    assert np.allclose(image[0, :, :, 0], [[0, 0.25], [0.5, 1]])


def test_palette_with_transparency_keeps_it(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 2))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((0, 0), 1)
    picture.save(tmp_path / "a.png", transparency=bytes([255, 0]))
    image, mask = read(tmp_path / "a.png")
    assert image.shape == (1, 2, 4, 4)
    assert list(bits(image)[0, 0]) == [0, 255, 0, 0]
    assert mask[0, 0, 0] == 1
    assert mask[0, 0, 1:].max() == 0


def test_grey_with_alpha(tmp_path: Path) -> None:
    Image.new("LA", (3, 2), (51, 102)).save(tmp_path / "a.png")
    image, mask = read(tmp_path / "a.png")
    assert list(bits(image)[0, 0]) == [51, 51, 51, 102]
    assert np.allclose(mask, 0.6)


def test_one_bit_and_grey_pictures(tmp_path: Path) -> None:
    Image.new("1", (3, 2), 1).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png")[0].min() == 1
    Image.new("L", (3, 2), 51).save(tmp_path / "b.png")
    assert np.allclose(read(tmp_path / "b.png")[0], 0.2)


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("#ff0000", "#0000ff")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image, _ = read(tmp_path / "a.gif")
    assert list(bits(image)[0, 0][:3]) == [255, 0, 0]


def linear_profile() -> bytes:
    """A colour profile with sRGB's primaries and a straight curve."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">L", data[128:132])[0]
    for index in range(count):
        name, offset, size = struct.unpack(">4sLL", data[132 + index * 12 : 144 + index * 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + size] = (b"curv" + bytes(8)).ljust(size, b"\0")
        if name == b"desc":
            text = "Straight".encode("utf-16-be").ljust(size - 28, b"\0")[: size - 28]
            data[offset + 28 : offset + size] = text
    return bytes(data)


def test_foreign_profile_is_turned_to_srgb(tmp_path: Path) -> None:
    half = np.full((4, 4, 3), 55, np.uint8)
    image, _ = read(save(tmp_path / "a.png", half, icc_profile=linear_profile()))
    # 55/255 of the light is 0.5 in sRGB's curve.
    assert np.allclose(image, 0.50, atol=0.02)


def test_foreign_profile_leaves_alpha_alone(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 55, np.uint8)
    image, _ = read(save(tmp_path / "a.png", pixels, icc_profile=linear_profile()))
    assert image[0, 0, 0] == pytest.approx([0.5, 0.5, 0.5, 55 / 255], abs=0.02)


def test_broken_profile_counts_as_none(tmp_path: Path) -> None:
    image, _ = read(save(tmp_path / "a.png", gradient(), icc_profile=b"nonsense"))
    assert np.array_equal(bits(image), gradient())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tif"])
def test_cut_file_is_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", RNG.integers(0, 256, (64, 64, 3)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(NodeError) as caught:
        read(path)
    assert caught.value.title.startswith(f"a{suffix} is ")
    assert caught.value.socket == "path"


@pytest.mark.parametrize(
    "data", [b"", b"just some words\n", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_picture_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(NodeError, match=r"a\.png is (no picture|damaged)"):
        read(path)


def test_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="cannot be read"):
        read(tmp_path / "a.png")


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">LLBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(NodeError, match="1,600 megapixels, of which 300"):
        read(path)


def test_picture_above_pillows_own_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(save(tmp_path / "a.png", gradient(20, 30)))[0].shape == (1, 20, 30, 3)
    monkeypatch.setattr(pictures, "LIMIT_PIXELS", 10)
    with pytest.raises(NodeError, match="30×20 px"):
        read(tmp_path / "a.png")


def test_folder_is_listed_in_natural_order_without_what_is_no_picture(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.PNG", "a.jpg", "notes.txt", "B1.webp"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in listed(str(tmp_path))] == ["a.jpg", "B1.webp", "b2.PNG", "b10.png"]


def test_empty_folder_and_empty_path_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="no pictures in"):
        listed(str(tmp_path))
    with pytest.raises(NodeError, match="No picture is chosen"):
        listed("")

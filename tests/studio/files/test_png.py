from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from studio.errors import FileError
from studio.files import png, strict_json
from studio.types import Json

WORKFLOW: dict[str, Json] = {"format": 1, "title": "Füchse 写真", "graphs": {"": {"nodes": {}}}}
TEXT = b'{"format": 1}'


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def picture(*extra: bytes, after: bool = False) -> bytes:
    """A PNG of one pixel with chunks before or after its pixels."""
    whole = png.encode(np.zeros((1, 1, 3), np.uint8))
    at = whole.index(b"IEND") - 4 if after else whole.index(b"IDAT") - 4
    return whole[:at] + b"".join(extra) + whole[at:]


def found(path: Path, data: bytes) -> bytes | None:
    file = path / "a.png"
    file.write_bytes(data)
    return png.find_workflow(file)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4)])
def test_what_was_saved_is_read_pixel_by_pixel(tmp_path: Path, bits: int, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    png.save(tmp_path / "a.png", pixels, WORKFLOW, bits=bits)
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert read.dtype == (np.uint16 if bits == 16 else np.uint8)
    if read.ndim == 3:
        read = read[:, :, [2, 1, 0, 3][: read.shape[2]]]
    expected = np.rint(pixels.astype(np.float64) * (2**bits - 1)).reshape(read.shape)
    np.testing.assert_array_equal(read, expected)
    assert png.read_workflow(tmp_path / "a.png") == WORKFLOW


@pytest.mark.parametrize("bits", [8, 16])
def test_other_programs_read_the_picture_and_its_text(tmp_path: Path, bits: int) -> None:
    png.save(tmp_path / "a.png", np.full((4, 4, 3), 0.5, np.float32), WORKFLOW, bits=bits)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert "写真" in image.info["latent_studio"]
        assert image.info["srgb"] == 0


def test_whole_numbers_are_kept_and_widened(tmp_path: Path) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    png.save(tmp_path / "a.png", pixels, bits=16)
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, pixels.astype(np.uint16) * 257)


def test_values_outside_the_range_are_clipped_and_no_numbers_are_black() -> None:
    pixels = np.array([[-1, 2, np.nan, np.inf, -np.inf, 0.5]], np.float32)
    image = cv2.imdecode(np.frombuffer(png.encode(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.tolist() == [[0, 255, 0, 255, 0, 128]]


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 5), (0, 2, 3), (1, 2, 2, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape of a picture"):
        png.encode(np.zeros(shape, np.float32))


def test_without_a_workflow_there_is_none(tmp_path: Path) -> None:
    png.save(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    assert png.read_workflow(tmp_path / "a.png") is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "made",
    [
        chunk(b"tEXt", b"latent_studio\0" + TEXT),
        chunk(b"zTXt", b"latent_studio\0\0" + zlib.compress(TEXT)),
        chunk(b"iTXt", b"latent_studio\0\0\0\0\0" + TEXT),
        chunk(b"iTXt", b"latent_studio\0\1\0en\0x\0" + zlib.compress(TEXT)),
    ],
)
def test_every_kind_of_text_is_found_wherever_it_stands(tmp_path: Path, after: bool, made: bytes) -> None:
    other = chunk(b"tEXt", b"parameters\0a fox")
    assert found(tmp_path, picture(other, made, after=after)) == TEXT


def test_texts_that_pillow_wrote_are_found(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("latent_studio", '{"title": "写真"}', zip=True)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
    assert png.read_workflow(tmp_path / "a.png") == {"title": "写真"}


def test_pixels_are_never_decoded(tmp_path: Path) -> None:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0))
    data = png.SIGNATURE + header + chunk(b"IDAT", b"no pixels") + chunk(b"tEXt", b"latent_studio\0" + TEXT)
    assert found(tmp_path, data + chunk(b"IEND", b"")) == TEXT


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"GIF89a", "no PNG"),
        (png.SIGNATURE, "cut off"),
        (png.SIGNATURE + struct.pack(">L4s", 2**32 - 1, b"tEXt") + b"latent_studio\0", "cut off"),
        (picture()[:-12], "cut off"),
        (picture(chunk(b"tEXt", b"latent_studio\0" + TEXT)[:-1] + b"?"), "damaged"),
        (picture(chunk(b"zTXt", b"latent_studio\0\0no zlib")), "damaged"),
        (picture(chunk(b"zTXt", b"latent_studio\0\0" + zlib.compress(TEXT)[:-5])), "cut off"),
        (picture(chunk(b"iTXt", b"latent_studio\0\0")), "damaged"),
        (picture(chunk(b"iTXt", b"latent_studio\0\0\0en")), "damaged"),
    ],
)
def test_damage_has_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(FileError, match=sentence):
        found(tmp_path, data)


def test_a_damaged_text_of_others_does_no_harm(tmp_path: Path) -> None:
    other = chunk(b"tEXt", b"parameters\0a fox")[:-1] + b"?"
    assert found(tmp_path, picture(other, chunk(b"tEXt", b"latent_studio\0" + TEXT))) == TEXT


def test_a_text_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_BYTES", 10_000)
    with pytest.raises(FileError, match="too large"):
        found(tmp_path, picture(chunk(b"zTXt", b"latent_studio\0\0" + zlib.compress(bytes(1_000_000)))))


def test_endless_chunks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MAX_CHUNKS", 50)
    with pytest.raises(FileError, match="chunks"):
        found(tmp_path, picture(*[chunk(b"tEXt", b"a\0b")] * 60))


def test_a_picture_whose_workflow_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(chunk(b"tEXt", b"latent_studio\0[1]")))
    with pytest.raises(FileError, match="no JSON object"):
        png.read_workflow(tmp_path / "a.png")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_pictures_raise_nothing_but_file_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(picture(chunk(b"iTXt", b"latent_studio\0\1\0\0\0" + zlib.compress(TEXT))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        text = found(tmp_path_factory.getbasetemp(), bytes(whole))
    except FileError as error:
        text = error.title.encode() if error.title.endswith(".") else b"no sentence"
    assert text != b"no sentence"

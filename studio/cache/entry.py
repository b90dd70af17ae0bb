"""The file of one entry: a fixed prefix, a JSON head with checksums, and a body of tree and buffers.

    prefix   magic, format, bytes of head, bytes of body, checksum of head
    head     JSON: key, what the caller says about the entry, bytes of the tree, checksum of the body
    body     JSON [tree, [bytes of each buffer]], then the buffers; each part padded to 64 bytes

The head answers most questions, so it is read alone. Whatever does not fit is a `ValueError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from studio.cache.codec import Buffer, Encoded
from studio.types import Json

FORMAT = 1
MAGIC = b"\x89studio\n"
MAX_JSON_BYTES = 64 << 20
ALIGNMENT = 64
_PREFIX = struct.Struct("<8sIIQ16s")
_FIRST_READ_BYTES = 4096
# A pipe in place of a file must not block, nor a link lead out of the cache; Windows knows neither.
_READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC")
)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an entry that is whole.

    Attributes:
        about: What the writer said about the entry.
        tree_bytes: Length of the tree in the body.
        checksum: blake2b of the body, hex.
        start: Offset of the body in the file.
        body_bytes: Its length.
    """

    about: Json
    tree_bytes: int
    checksum: str
    start: int
    body_bytes: int


def pack(key: str, about: Json, encoded: Encoded) -> list[Buffer]:
    """Return the file's content, in pieces; buffers are not copied.

    Raises:
        ValueError: Tree or head are longer than `read` would accept.
    """
    tree = _dump([encoded.header, [len(buffer) for buffer in encoded.buffers]])
    body: list[Buffer] = []
    hasher = hashlib.blake2b(digest_size=16)
    for part in (tree, *encoded.buffers):
        for piece in (part, bytes(-len(part) % ALIGNMENT)):
            hasher.update(piece)
            body.append(piece)
    head = _dump({"key": key, "about": about, "tree": len(tree), "body": hasher.hexdigest()})
    if max(len(tree), len(head)) > MAX_JSON_BYTES:
        raise ValueError("too many small values for one entry")
    size = sum(len(piece) for piece in body)
    return [_PREFIX.pack(MAGIC, FORMAT, len(head), size, _checksum(head)), head, *body]


def read_head(path: Path | str, key: str) -> Head:
    """Read the head alone, having checked it and the length of the file.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is no whole entry of this format under this key.
    """
    file = os.open(path, _READ)
    try:
        return _head(file, key)
    finally:
        os.close(file)


def read(path: Path | str, key: str, max_bytes: int) -> tuple[Head, Encoded]:
    """Read and check the whole entry; its buffers are writable views of one block of memory.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is no sound entry of this format under this key.
    """
    file = os.open(path, _READ)
    try:
        head = _head(file, key)
        if head.body_bytes > max_bytes:
            raise ValueError("longer than the cache may hold")
        body = _read_body(file, head)
    finally:
        os.close(file)
    if hashlib.blake2b(body, digest_size=16).hexdigest() != head.checksum:
        raise ValueError("the body is damaged")
    return head, _unpack(body, head.tree_bytes)


def _head(file: int, key: str) -> Head:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a file")
    data = os.read(file, _FIRST_READ_BYTES)
    if len(data) < _PREFIX.size:
        raise ValueError("cut short")
    magic, version, head_bytes, body_bytes, checksum = _PREFIX.unpack_from(data)
    if magic != MAGIC or version != FORMAT:
        raise ValueError("of another kind or format")
    start = _PREFIX.size + head_bytes
    if head_bytes > MAX_JSON_BYTES or status.st_size != start + body_bytes:
        raise ValueError("cut short")
    while len(data) < start:
        more = os.read(file, start - len(data))
        if not more:
            raise ValueError("cut short")
        data += more
    text = data[_PREFIX.size : start]
    if _checksum(text) != checksum:
        raise ValueError("the head is damaged")
    match _parse(text):
        case {"key": str(name), "about": about, "tree": int(tree_bytes), "body": str(body)} if name == key:
            return Head(about, tree_bytes, body, start, body_bytes)
        case _:
            raise ValueError("the head of another entry")


def _read_body(file: int, head: Head) -> memoryview:
    # Memory that numpy leaves unset: the file itself bounds it, for its length was compared with the head.
    body = np.empty(head.body_bytes, np.uint8).data
    os.lseek(file, head.start, os.SEEK_SET)
    done = 0
    with open(file, "rb", buffering=0, closefd=False) as stream:
        while done < len(body):
            count = stream.readinto(body[done:])
            if not count:
                raise ValueError("cut short")
            done += count
    return body


def _unpack(body: memoryview, tree_bytes: int) -> Encoded:
    if not 0 <= tree_bytes <= min(len(body), MAX_JSON_BYTES):
        raise ValueError("the tree is cut short")
    match _parse(bytes(body[:tree_bytes])):
        case [tree, list(sizes)]:
            pass
        case _:
            raise ValueError("no tree")
    buffers: list[Buffer] = []
    place = tree_bytes + -tree_bytes % ALIGNMENT
    for size in sizes:
        if type(size) is not int or not 0 <= size <= len(body) - place:
            raise ValueError("a buffer is cut short")
        buffers.append(body[place : place + size])
        place += size + -size % ALIGNMENT
    return Encoded(tree, buffers)


def _checksum(data: Buffer) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _parse(text: bytes) -> Json:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")

"""Derive vocab.json and merges.txt from CLIP's list of merges, ``bpe_simple_vocab_16e6.txt.gz``.

    python assets/configs/clip/make_vocabulary.py bpe_simple_vocab_16e6.txt.gz

The list comes with the Python package open_clip_torch 3.3.0 (see LICENSE). The vocabulary is the 256 byte
symbols, the same ending a word, the first 48,894 merges in order, and the two tokens that begin and end a
text: 49,408 entries.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

MERGES = 48894
HERE = Path(__file__).resolve().parent


def byte_symbols() -> list[str]:
    """The character that stands for each byte: itself where it prints, else one beyond U+00FF."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printing)
    return [chr(code) for code in printing] + [chr(0x100 + index) for index in range(others)]


def main(source: Path) -> None:
    """Write both files beside this script."""
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")
    merges = lines[1 : 1 + MERGES]
    symbols = byte_symbols()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    tokens += ["".join(merge.split(" ")) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if len(vocabulary) != MERGES + 514:
        raise SystemExit(f"{source} gives {len(vocabulary)} tokens, not {MERGES + 514}.")
    text = json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":"))
    (HERE / "vocab.json").write_text(text + "\n", "utf-8")
    (HERE / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

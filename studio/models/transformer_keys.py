"""Where the weights of SD3's and Flux's transformers lie in files of the original layout. Free of torch.

The networks are those of diffusers; their authors' own files name tensors otherwise, keep the projections of
an attention in one tensor, and let a final modulation give shift before scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from studio.models.kinds import Shapes, count


@dataclass(frozen=True, slots=True)
class Piece:
    """A weight of a network as a part of a tensor in a file.

    Attributes:
        key: The tensor's name in the file.
        rows: First row and the one after the last; None = all of it.
        swapped: Its halves are to change places.
    """

    key: str
    rows: tuple[int, int] | None = None
    swapped: bool = False


_ENDS = ("weight", "bias")
_EMBEDDERS = {
    "time_text_embed.timestep_embedder.linear_1": ("t_embedder.mlp.0", "time_in.in_layer"),
    "time_text_embed.timestep_embedder.linear_2": ("t_embedder.mlp.2", "time_in.out_layer"),
    "time_text_embed.text_embedder.linear_1": ("y_embedder.mlp.0", "vector_in.in_layer"),
    "time_text_embed.text_embedder.linear_2": ("y_embedder.mlp.2", "vector_in.out_layer"),
    "time_text_embed.guidance_embedder.linear_1": ("", "guidance_in.in_layer"),
    "time_text_embed.guidance_embedder.linear_2": ("", "guidance_in.out_layer"),
    "context_embedder": ("context_embedder", "txt_in"),
    "x_embedder": ("", "img_in"),
    "pos_embed.proj": ("x_embedder.proj", ""),
    "proj_out": ("final_layer.linear", "final_layer.linear"),
}
_SD3_BLOCK = {
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.to_out.0": "x_block.attn2.proj",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
}
_SD3_FUSED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
}
_FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_FLUX_DOUBLE_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_FLUX_DOUBLE_NORMS = {
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
}
_FLUX_SINGLE = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
_FLUX_SINGLE_FUSED = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")}
_FLUX_SINGLE_NORMS = {"attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm"}


def sd3_pieces(shapes: Shapes) -> dict[str, Piece]:
    """Name of each weight of ``SD3Transformer2DModel`` → where it lies in a file of the original layout.

    Args:
        shapes: Of the file's tensors, without what it puts before their names.
    """
    pieces = dict(_embedders(shapes, 0))
    if "pos_embed" in shapes:
        pieces["pos_embed.pos_embed"] = Piece("pos_embed")
    layers = count(shapes, "joint_blocks.")
    for index in range(layers):
        ours, theirs = f"transformer_blocks.{index}.", f"joint_blocks.{index}."
        pieces.update(_plain(shapes, _SD3_BLOCK, ours, theirs))
        pieces.update(_fused(shapes, _SD3_FUSED, ours, theirs))
    # The last block gives words nothing but a scale and a shift.
    for end in _ENDS:
        _swap(pieces, f"transformer_blocks.{layers - 1}.norm1_context.linear.{end}")
    return pieces


def flux_pieces(shapes: Shapes) -> dict[str, Piece]:
    """Name of each weight of ``FluxTransformer2DModel`` → where it lies; see `sd3_pieces`."""
    pieces = dict(_embedders(shapes, 1))
    for index in range(count(shapes, "double_blocks.")):
        ours, theirs = f"transformer_blocks.{index}.", f"double_blocks.{index}."
        pieces.update(_plain(shapes, _FLUX_DOUBLE, ours, theirs))
        pieces.update(_fused(shapes, _FLUX_DOUBLE_FUSED, ours, theirs))
        pieces.update(_norms(shapes, _FLUX_DOUBLE_NORMS, ours, theirs))
    for index in range(count(shapes, "single_blocks.")):
        ours, theirs = f"single_transformer_blocks.{index}.", f"single_blocks.{index}."
        pieces.update(_plain(shapes, _FLUX_SINGLE, ours, theirs))
        width = next(iter(shapes.get(f"{theirs}linear2.weight", ())), 0)
        pieces.update(_fused(shapes, _FLUX_SINGLE_FUSED, ours, theirs, width))
        pieces.update(_norms(shapes, _FLUX_SINGLE_NORMS, ours, theirs))
    return pieces


def shapes_of(pieces: Mapping[str, Piece], shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shape of every weight, from those of the file's tensors."""
    found: dict[str, tuple[int, ...]] = {}
    for name, piece in pieces.items():
        shape = shapes[piece.key]
        found[name] = shape if piece.rows is None else (piece.rows[1] - piece.rows[0], *shape[1:])
    return found


def _embedders(shapes: Shapes, side: int) -> Iterator[tuple[str, Piece]]:
    for ours, both in _EMBEDDERS.items():
        for end in _ENDS:
            if f"{both[side]}.{end}" in shapes:
                yield f"{ours}.{end}", Piece(f"{both[side]}.{end}")
    for end in _ENDS:
        if f"final_layer.adaLN_modulation.1.{end}" in shapes:
            yield f"norm_out.linear.{end}", Piece(f"final_layer.adaLN_modulation.1.{end}", swapped=True)


def _plain(shapes: Shapes, table: Mapping[str, str], ours: str, theirs: str) -> Iterator[tuple[str, Piece]]:
    for name, key in table.items():
        for end in _ENDS:
            if f"{theirs}{key}.{end}" in shapes:
                yield f"{ours}{name}.{end}", Piece(f"{theirs}{key}.{end}")


def _fused(
    shapes: Shapes, table: Mapping[str, tuple[str, ...]], ours: str, theirs: str, width: int = 0
) -> Iterator[tuple[str, Piece]]:
    """Layers that lie in one tensor: thirds of it, or `width` rows each and the last one all the rest."""
    for key, names in table.items():
        for end in _ENDS:
            shape = shapes.get(f"{theirs}{key}.{end}", ())
            if not shape:
                continue
            each = width or shape[0] // len(names)
            for index, name in enumerate(names):
                stop = shape[0] if index == len(names) - 1 else (index + 1) * each
                yield f"{ours}{name}.{end}", Piece(f"{theirs}{key}.{end}", (index * each, stop))


def _norms(shapes: Shapes, table: Mapping[str, str], ours: str, theirs: str) -> Iterator[tuple[str, Piece]]:
    for name, key in table.items():
        if f"{theirs}{key}.scale" in shapes:
            yield f"{ours}{name}.weight", Piece(f"{theirs}{key}.scale")


def _swap(pieces: dict[str, Piece], name: str) -> None:
    if name in pieces:
        pieces[name] = Piece(pieces[name].key, pieces[name].rows, swapped=True)

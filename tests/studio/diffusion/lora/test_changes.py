"""Each kind against its formula, written out plainly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from studio.diffusion.lora.building import MisfitError, bias_change, weight_change


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def applied(
    parts: dict[str, torch.Tensor], weight: torch.Tensor, strength: float = 1.0, rows: Any = None
) -> torch.Tensor:
    change = weight_change(parts, weight.shape, rows)
    assert change is not None
    return change.apply(weight.clone(), strength)


LINEAR, CONV, POINT = (6, 4), (6, 4, 3, 3), (6, 4, 1, 1)


@pytest.mark.parametrize("strength", [1.0, -0.5])
@pytest.mark.parametrize("shape", [LINEAR, CONV, POINT])
def test_lora_adds_its_product_times_alpha_over_rank(shape: tuple[int, ...], strength: float) -> None:
    weight = numbers(*shape)
    up, down = numbers(6, 2, *(1 for _ in shape[2:]), seed=1), numbers(2, *shape[1:], seed=2)
    given = applied({"up": up, "down": down, "alpha": torch.tensor(3.0)}, weight, strength)
    product = (up.flatten(1) @ down.flatten(1)).view(shape)
    torch.testing.assert_close(given, weight + strength * 3 / 2 * product)


def test_without_alpha_the_product_counts_whole() -> None:
    weight, up, down = numbers(6, 4), numbers(6, 2, seed=1), numbers(2, 4, seed=2)
    torch.testing.assert_close(applied({"up": up, "down": down}, weight), weight + up @ down)


def test_lora_of_a_linear_layer_fits_a_convolution_of_one_pixel() -> None:
    weight, up, down = numbers(*POINT), numbers(6, 2, seed=1), numbers(2, 4, seed=2)
    expected = weight + (up @ down)[..., None, None]
    torch.testing.assert_close(applied({"up": up, "down": down}, weight), expected)


def test_the_middle_of_a_convolution_is_what_three_convolutions_do() -> None:
    weight = torch.zeros(CONV)
    up, mid, down = numbers(6, 2, 1, 1, seed=1), numbers(2, 2, 3, 3, seed=2), numbers(2, 4, 1, 1, seed=3)
    x = numbers(1, 4, 5, 5, seed=4)
    convolve = torch.nn.functional.conv2d
    given = applied({"up": up, "mid": mid, "down": down, "alpha": torch.tensor(1.0)}, weight)
    expected = convolve(convolve(convolve(x, down), mid, padding=1), up) / 2
    torch.testing.assert_close(convolve(x, given, padding=1), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_loha_multiplies_two_products(shape: tuple[int, ...]) -> None:
    weight = numbers(*shape)
    inputs = weight[0].numel()
    parts = {
        "hada_w1_a": numbers(6, 2, seed=1),
        "hada_w1_b": numbers(2, inputs, seed=2),
        "hada_w2_a": numbers(6, 2, seed=3),
        "hada_w2_b": numbers(2, inputs, seed=4),
        "alpha": torch.tensor(0.5),
    }
    product = (parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"])
    torch.testing.assert_close(applied(parts, weight, 0.7), weight + 0.7 * 0.25 * product.view(shape))


def test_loha_with_cores_of_kernels() -> None:
    weight = numbers(*CONV)
    parts: dict[str, torch.Tensor] = {}
    products: list[torch.Tensor] = []
    for n in (1, 2):
        core, a, b = numbers(2, 2, 3, 3, seed=n), numbers(2, 6, seed=3 + n), numbers(2, 4, seed=5 + n)
        parts |= {f"hada_t{n}": core, f"hada_w{n}_a": a, f"hada_w{n}_b": b}
        products.append(torch.einsum("ijkl,jr,ip->prkl", core, b, a))
    torch.testing.assert_close(applied(parts, weight), weight + products[0] * products[1])


@pytest.mark.parametrize("left_is_whole", [True, False])
@pytest.mark.parametrize("right", ["whole", "factors", "core"])
def test_lokr_is_a_kronecker_product(right: str, left_is_whole: bool) -> None:
    weight = numbers(*CONV)
    parts: dict[str, torch.Tensor] = {"alpha": torch.tensor(4.0)}
    if left_is_whole:
        parts["lokr_w1"] = first = numbers(2, 2, seed=1)
    else:
        parts |= {"lokr_w1_a": numbers(2, 2, seed=1), "lokr_w1_b": numbers(2, 2, seed=2)}
        first = parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if right == "whole":
        parts["lokr_w2"] = second = numbers(3, 2, 3, 3, seed=3)
    elif right == "factors":
        parts |= {"lokr_w2_a": numbers(3, 2, seed=3), "lokr_w2_b": numbers(2, 2, 3, 3, seed=4)}
        second = (parts["lokr_w2_a"] @ parts["lokr_w2_b"].flatten(1)).view(3, 2, 3, 3)
    else:
        parts |= {"lokr_w2_a": numbers(2, 3, seed=3), "lokr_w2_b": numbers(2, 2, seed=4)}
        parts["lokr_t2"] = numbers(2, 2, 3, 3, seed=5)
        core, a, b = parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"]
        second = torch.einsum("ijkl,jr,ip->prkl", core, b, a).contiguous()
    # Alpha is a matter of ranks: of two whole factors there is none.
    scale = 1.0 if left_is_whole and right == "whole" else 2.0
    kernels = [torch.kron(first, second[:, :, i // 3, i % 3]) for i in range(9)]
    expected = torch.stack(kernels, -1).view(CONV)
    torch.testing.assert_close(applied(parts, weight), weight + scale * expected)


@pytest.mark.parametrize("by_input", [False, True])
@pytest.mark.parametrize("shape", [LINEAR, CONV])
def test_dora_gives_the_sum_a_magnitude_of_its_own(shape: tuple[int, ...], by_input: bool) -> None:
    weight = numbers(*shape)
    up, down = numbers(6, 2, seed=1), numbers(2, weight[0].numel(), seed=2)
    ones = (1,) * (len(shape) - 2)
    magnitude = numbers(*((1, 4) if by_input else (6, 1)), *ones, seed=3).abs()
    turned = weight + (up @ down).view(shape)
    norm = turned.square().sum([d for d in range(len(shape)) if d != by_input], keepdim=True).sqrt()
    expected = magnitude * turned / norm
    parts = {"up": up, "down": down, "magnitude": magnitude}
    torch.testing.assert_close(applied(parts, weight), expected)
    torch.testing.assert_close(applied(parts, weight, 0.25), weight + 0.25 * (expected - weight))
    torch.testing.assert_close(applied(parts, weight, 0.0), weight)


@pytest.mark.parametrize("shape", [LINEAR, CONV])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_oft_turns_blocks_of_outputs(shape: tuple[int, ...], alpha: float) -> None:
    weight, blocks = numbers(*shape), numbers(2, 3, 3, seed=1)
    skew = blocks - blocks.transpose(1, 2)
    if alpha:
        skew = skew * min(1, alpha * 6 / float(skew.norm()))
    unit = torch.eye(3)
    turns = (unit + skew) @ (unit - skew).inverse()
    expected = (torch.block_diag(*turns).T @ weight.flatten(1)).view(shape)
    parts = {"oft_blocks": blocks, "alpha": torch.tensor(alpha)}
    torch.testing.assert_close(applied(parts, weight), expected)
    torch.testing.assert_close(applied(parts, weight, 0.5), (weight + expected) / 2)
    torch.testing.assert_close(expected.norm(), weight.norm())


def test_boft_turns_in_a_butterfly_and_scales() -> None:
    weight, blocks = numbers(8, 5), numbers(2, 4, 2, 2, seed=1)
    scales = numbers(8, 1, seed=2)
    expected = weight
    for i, factor in enumerate(blocks):
        skew = factor - factor.transpose(1, 2)
        turns = (torch.eye(2) + skew) @ (torch.eye(2) - skew).inverse()
        # Rows that lie 2^i half-blocks apart are turned together.
        step = 2**i
        order = [
            start + near + far * step
            for start in range(0, 8, 2 * step)
            for near in range(step)
            for far in (0, 1)
        ]
        shuffled = torch.block_diag(*turns) @ expected[order]
        expected = torch.empty_like(shuffled).index_copy_(0, torch.tensor(order), shuffled)
    parts = {"oft_blocks": blocks, "rescale": scales}
    torch.testing.assert_close(applied(parts, weight), expected * scales)


@pytest.mark.parametrize("swapped", [False, True])
def test_glora_moves_inputs_and_outputs(swapped: bool) -> None:
    weight = numbers(6, 4)
    a, b = (numbers(4, 2, seed=1), numbers(2, 4, seed=2)), (numbers(6, 2, seed=3), numbers(2, 4, seed=4))
    one, two = (1, 0) if swapped else (0, 1)
    parts = {"a1": a[one], "a2": a[two], "b1": b[one], "b2": b[two], "alpha": torch.tensor(1.0)}
    expected = weight + 0.3 * 0.5 * (weight @ a[0] @ a[1] + b[0] @ b[1])
    torch.testing.assert_close(applied(parts, weight, 0.3), expected)


def test_a_whole_difference_changes_weights_biases_and_norms() -> None:
    weight, difference = numbers(6, 4), numbers(6, 4, seed=1)
    torch.testing.assert_close(applied({"diff": difference}, weight, 2.0), weight + 2 * difference)
    norm, change = numbers(6), numbers(6, seed=1)
    torch.testing.assert_close(applied({"diff": change}, norm), norm + change)
    shift = bias_change({"bias": change}, 6)
    assert shift is not None
    torch.testing.assert_close(shift.apply(norm.clone(), 0.5), norm + 0.5 * change)
    assert weight_change({"bias": change}, weight.shape) is None


def test_a_fused_layer_gives_each_of_its_layers_its_rows() -> None:
    up, down, weight = numbers(18, 2, seed=1), numbers(2, 4, seed=2), numbers(6, 4)
    parts = {"up": up, "down": down}
    torch.testing.assert_close(applied(parts, weight, rows=((6, 12),)), weight + (up @ down)[6:12])
    hada = {"hada_w1_a": up, "hada_w1_b": down}
    hada |= {"hada_w2_a": numbers(18, 2, seed=3), "hada_w2_b": numbers(2, 4, seed=4)}
    whole = (up @ down) * (hada["hada_w2_a"] @ hada["hada_w2_b"])
    swapped = torch.cat([whole[3:6], whole[:3]])
    torch.testing.assert_close(applied(hada, weight, rows=((3, 6), (0, 3))), weight + swapped)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"up": numbers(6, 2), "down": numbers(2, 5)}, "6 × 5"),
        ({"up": numbers(6, 2), "down": numbers(3, 4)}, "ranks"),
        ({"down": numbers(3, 4)}, "up is missing"),
        ({"up": numbers(6, 2), "down": numbers(2, 4), "alpha": numbers(2)}, "alpha is no number"),
        ({"oft_blocks": numbers(2, 2, 2)}, "turn 4 rows"),
        ({"oft_blocks": numbers(2, 3)}, "blocks are"),
        ({"up": numbers(6, 2), "down": numbers(2, 4), "magnitude": numbers(5)}, "magnitudes"),
        ({"lokr_w1": numbers(2, 2), "lokr_w2": numbers(3, 3)}, "6 × 6"),
        ({"diff": numbers(100_000, 1).expand(-1, 100_000)}, "100000 × 100000"),
    ],
)
def test_what_does_not_fit_says_why(parts: dict[str, torch.Tensor], why: str) -> None:
    with pytest.raises(MisfitError, match=why):
        weight_change(parts, torch.Size(LINEAR))

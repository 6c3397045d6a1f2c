# SPDX-License-Identifier: Apache-2.0
"""The quantizer, beside vector-quantize-pytorch's and beside what follows from its definition."""

import math

import pytest
import torch

from eeg_hf import EEGFSQConfig
from eeg_hf.models.finite_scalar_quantization import LARGEST_TABLE, FiniteScalarQuantizer

LEVEL_SETS = [
    [8, 8, 8, 5, 5, 5],
    [8, 5, 5, 5],
    [3],
    [4],
    [16],
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 3],
    [4, 4, 4, 4],
    [16, 15, 14, 13, 12],
    [11, 10, 9],
    [3, 4, 5, 6, 7, 8, 9],
    [20, 12, 7, 5, 3],
    [1000, 999],
]
WITH_TWO = [[2], [2] * 16, [2, 8, 2, 5]]


def latents(levels, number=4000, seed=0):
    # From the middle of the range far into both tails of tanh
    return 3 * torch.randn(2, number // 2, len(levels), generator=torch.Generator().manual_seed(seed))


def gradients(quantize, values, weights):
    values = values.clone().requires_grad_()
    (quantize(values) * weights).sum().backward()
    return values.grad


@pytest.mark.parametrize("levels", LEVEL_SETS, ids=str)
def test_it_agrees_with_vector_quantize_pytorch(levels):
    peer = pytest.importorskip("vector_quantize_pytorch").FSQ(levels)
    quantizer, values = FiniteScalarQuantizer(levels), latents(levels)
    codes, indices = peer(values)
    found = quantizer(values)
    torch.testing.assert_close(found, codes)
    assert torch.equal(quantizer.codes_to_indices(found), indices.long())
    torch.testing.assert_close(quantizer.indices_to_codes(indices), peer.indices_to_codes(indices))
    weights = torch.randn(values.shape)
    expected = gradients(lambda z: peer(z)[0], values, weights)
    torch.testing.assert_close(gradients(quantizer, values, weights), expected)


@pytest.mark.parametrize("levels", WITH_TWO, ids=str)
def test_with_two_levels_it_counts_as_vector_quantize_pytorch(levels):
    """Which refuses to quantize them so: only the numbers of the codes can be compared."""
    peer = pytest.importorskip("vector_quantize_pytorch").FSQ(levels, preserve_symmetry=True)
    quantizer = FiniteScalarQuantizer(levels)
    indices = torch.arange(quantizer.codebook_size)[:70_000]
    assert torch.equal(quantizer.indices_to_digits(indices), peer.indices_to_level_indices(indices))


@pytest.mark.parametrize("levels", [*LEVEL_SETS, *WITH_TWO], ids=str)
def test_every_index_comes_back(levels):
    quantizer = FiniteScalarQuantizer(levels)
    assert quantizer.codebook_size == math.prod(levels)
    indices = torch.arange(quantizer.codebook_size)[-100_000:]
    codes = quantizer.indices_to_codes(indices)
    assert codes.abs().max() <= 1 and len(codes.unique(dim=0)) == len(indices)
    assert torch.equal(quantizer.codes_to_indices(codes), indices)


@pytest.mark.parametrize("levels", [[16] * 11, [8, 7, 6, 5] * 5, [2] * 62, [1000] * 6], ids=len)
def test_indices_beyond_the_precision_of_float_come_back(levels):
    quantizer = FiniteScalarQuantizer(levels)
    assert quantizer.codebook_size == math.prod(levels) > 2**40
    drawn = torch.randint(quantizer.codebook_size, (100_000,), generator=torch.Generator().manual_seed(0))
    indices = torch.cat([drawn, torch.tensor([0, quantizer.codebook_size - 1])])
    codes = quantizer.indices_to_codes(indices)
    assert torch.equal(quantizer.codes_to_indices(codes), indices)
    assert quantizer.codes_to_indices(codes).dtype == torch.int64


@pytest.mark.parametrize("levels", [*LEVEL_SETS, *WITH_TWO], ids=str)
def test_all_levels_are_reached_and_none_beyond(levels):
    quantizer = FiniteScalarQuantizer(levels)
    sweep = torch.linspace(-20, 20, 40_001)[:, None].expand(-1, len(levels))
    digits = quantizer.indices_to_digits(quantizer.codes_to_indices(quantizer(sweep)))
    for dimension, level in enumerate(levels):
        assert digits[:, dimension].unique().tolist() == list(range(level))


@pytest.mark.parametrize("levels", [*LEVEL_SETS, *WITH_TWO], ids=str)
def test_the_middle_lies_in_the_middle_of_the_range(levels):
    quantizer = FiniteScalarQuantizer(levels)
    middle, sides = quantizer.middle(), latents(levels).abs()
    above, below = quantizer.bound(middle + sides), quantizer.bound(middle - sides)
    centre = torch.tensor([0.0 if level % 2 else -0.5 for level in levels])
    torch.testing.assert_close((above + below) / 2, centre.expand_as(above), atol=2e-4, rtol=0)


@pytest.mark.parametrize("levels", [[8, 8, 8, 5, 5, 5], [2, 3, 16]], ids=str)
def test_latents_of_codes_quantize_to_them_again(levels):
    quantizer = FiniteScalarQuantizer(levels)
    codes = quantizer.indices_to_codes(torch.arange(quantizer.codebook_size))
    torch.testing.assert_close(quantizer(quantizer.unbound(codes) + quantizer.middle()), codes)


@pytest.mark.parametrize("levels", [[8, 8, 8, 5, 5, 5], [1000, 999]], ids=str)  # kept, and too many to keep
def test_latents_of_indices_are_those_of_their_codes(levels):
    quantizer = FiniteScalarQuantizer(levels)
    indices = torch.randint(quantizer.codebook_size, (3, 4, 5), dtype=torch.int32)
    for _ in range(2):  # before and after a table is there
        found = quantizer.indices_to_latents(indices)
        # Not bit for bit: where a value lies in a tensor decides by which instructions torch computes atanh
        torch.testing.assert_close(found, quantizer.unbound(quantizer.indices_to_codes(indices)))
    assert (quantizer.table is None) == (quantizer.codebook_size > LARGEST_TABLE)
    with pytest.raises(ValueError, match="indices: expected 0 to"):
        quantizer.indices_to_latents(indices + quantizer.codebook_size)


def test_gradients_are_those_without_the_rounding():
    levels = [8, 5, 2]
    quantizer, values = FiniteScalarQuantizer(levels), latents(levels)
    weights = torch.randn(values.shape)
    smooth = gradients(lambda z: quantizer.bound(z) / torch.tensor([4, 2, 1]), values, weights)
    assert smooth.abs().min(dim=1).values.max() < 1e-3 < smooth.abs().mean()  # tails and middle
    torch.testing.assert_close(gradients(quantizer, values, weights), smooth)


@pytest.mark.parametrize("levels", [[8, 8, 8, 5, 5, 5], [1000, 999]], ids=str)
def test_bf16_changes_no_code(levels):
    quantizer, values = FiniteScalarQuantizer(levels), latents(levels)
    expected = quantizer(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quantizer(values), expected)
    rounded = values.bfloat16()
    assert torch.equal(quantizer(rounded), quantizer(rounded.float()))
    assert torch.equal(quantizer.bfloat16()(values), expected)


@pytest.mark.parametrize("levels", [[], [1], [8, 1], [0], [-3], [8.0, 5.0], [True, 8], ["8"]], ids=str)
def test_levels_that_make_no_grid_are_refused(levels):
    with pytest.raises(ValueError, match="levels: expected whole numbers of at least 2") as refused:
        FiniteScalarQuantizer(levels)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("index", [-1, 40, 2**40])
def test_an_index_out_of_range_is_refused(index):
    quantizer = FiniteScalarQuantizer([8, 5])
    with pytest.raises(
        ValueError, match=r"indices: expected 0 to 39, got .*: encode with the codec of this codebook"
    ) as refused:
        quantizer.indices_to_codes(torch.tensor([[0, index]]))
    assert f"{index:,}" in str(refused.value) and "\n" not in str(refused.value)


def test_the_config_knows_the_size_of_the_codebook():
    config = EEGFSQConfig(levels=[8, 8, 8, 5, 5, 5], codes_per_patch=4, patch_size=256, sampling_rate=128)
    assert config.codebook_size == 64_000 == FiniteScalarQuantizer(config.levels).codebook_size
    assert config.bits_per_second() == pytest.approx(4 * math.log2(64_000) / 2)  # a patch takes 2 s
    assert config.bits_per_second(256) == pytest.approx(2 * config.bits_per_second())

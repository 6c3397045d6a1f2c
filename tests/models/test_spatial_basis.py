# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from eeg_hf.models.spatial_basis import channel_matrix, harmonic_matrix, spherical_harmonics
from eeg_hf.models.spherical_splines import HEAD_CENTRE
from eeg_hf.models.standard_montage import STANDARD_POSITIONS

PLACES = torch.tensor(list(STANDARD_POSITIONS.values()))[None]
GENERATOR = torch.Generator().manual_seed(0)


def test_harmonics_are_orthonormal_over_the_sphere():
    directions = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=GENERATOR), dim=-1)
    values = spherical_harmonics(directions.double(), 3)
    expected = torch.eye(16, dtype=torch.float64)
    torch.testing.assert_close(values.mT @ values / len(values), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_fit_is_the_solution_of_the_ridge(degree):
    directions = torch.nn.functional.normalize(PLACES - torch.tensor(HEAD_CENTRE), dim=-1).double()
    basis = spherical_harmonics(directions, degree)
    normal = basis.mT @ basis
    size = normal.shape[-1]
    ridge = 0.01 * normal.diagonal(dim1=1, dim2=2).mean() * torch.eye(size, dtype=torch.float64)
    expected = torch.linalg.solve(normal + ridge, basis.mT)[:, 1:]
    torch.testing.assert_close(harmonic_matrix(PLACES, None, degree).double(), expected, atol=2e-4, rtol=0)


def test_a_masked_channel_is_as_if_it_were_not_there():
    mask = torch.ones(1, 19, dtype=torch.bool)
    mask[0, 4] = False
    others = [index for index in range(19) if index != 4]
    found = harmonic_matrix(PLACES, mask, 2)
    assert (found[..., 4] == 0).all()
    torch.testing.assert_close(found[..., others], harmonic_matrix(PLACES[:, others], None, 2))


def test_fewer_channels_than_harmonics_give_finite_components():
    for count in (1, 2, 4):
        assert harmonic_matrix(PLACES[:, :count], None, 3).isfinite().all()


def test_channels_are_found_by_place_whatever_their_order():
    order = torch.randperm(19, generator=GENERATOR)
    moved = PLACES + 0.005 * torch.randn(PLACES.shape, generator=GENERATOR)
    picked = channel_matrix(moved[:, order], None, PLACES[0])
    values = torch.arange(19.0)[order]
    torch.testing.assert_close(picked[0] @ values, torch.arange(19.0))


def test_places_without_a_channel_stay_empty():
    mask = torch.arange(19).ne(3)[None]
    picked = channel_matrix(PLACES, mask, PLACES[0])
    assert picked.sum(dim=-1).tolist() == [[float(index != 3) for index in range(19)]]
    assert channel_matrix(PLACES[:, :4], None, PLACES[0]).sum() == 4
    assert channel_matrix(PLACES + 0.5, None, PLACES[0]).sum() == 0

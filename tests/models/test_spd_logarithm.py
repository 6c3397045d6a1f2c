# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from eeg_hf.models.spd_inverse_root import shrunk_inverse_root
from eeg_hf.models.spd_logarithm import log_series, shrink, shrunk_log, vectorize


def draw_covariances(size: int, count: int = 50, rank: int | None = None) -> torch.Tensor:
    factors = torch.randn(count, size, rank or size, generator=torch.Generator().manual_seed(0)).double()
    return factors @ factors.mT


def log_by_eigenvalues(matrices: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrices.double())
    return (vectors * values.log()[..., None, :]) @ vectors.mT


@pytest.mark.parametrize(("size", "amount"), [(2, 0.5), (19, 0.5), (19, 0.1), (64, 0.5), (64, 0.2)])
def test_it_is_the_logarithm_by_eigenvalues(size, amount):
    matrices = draw_covariances(size, rank=size // 2 + 1)
    expected = log_by_eigenvalues(shrink(matrices, amount))
    torch.testing.assert_close(shrunk_log(matrices, amount), expected, atol=2e-7, rtol=0)
    torch.testing.assert_close(shrunk_log(matrices.float(), amount).double(), expected, atol=5e-5, rtol=0)


def test_one_component_has_its_own_logarithm():
    torch.testing.assert_close(shrunk_log(torch.full((3, 1, 1), 5.0), 0.5).exp(), torch.full((3, 1, 1), 5.0))


def test_a_silent_matrix_has_a_finite_logarithm():
    assert shrunk_log(torch.zeros(2, 5, 5), 0.5).isfinite().all()


def test_gradients_are_those_of_differences_and_finite_where_eigenvalues_coincide():
    matrices = draw_covariances(4, count=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: shrunk_log((m + m.mT) / 2, 0.5), matrices)
    sphere = torch.eye(6).mul(3.0).requires_grad_()
    shrunk_log(sphere, 0.5)[0, 1].backward()
    assert sphere.grad.isfinite().all()
    assert sphere.grad.abs().sum() > 0


def test_vectors_keep_the_norm_and_the_inner_product():
    first, second = draw_covariances(5, count=2)
    torch.testing.assert_close(vectorize(first) @ vectorize(second), (first * second).sum())


@pytest.mark.parametrize("amount", [0.0, -0.1, 1.5])
def test_without_shrinkage_there_is_no_bound(amount):
    with pytest.raises(ValueError, match=r"shrinkage: expected a share in \(0, 1\]"):
        shrunk_log(torch.eye(3), amount)


def test_bounds_must_be_positive():
    with pytest.raises(ValueError, match="expected bounds 0 < smallest"):
        log_series(0.0, 1.0)


@pytest.mark.parametrize(("size", "amount"), [(1, 0.1), (4, 0.1), (19, 0.1), (64, 0.1), (128, 0.1)])
def test_the_inverse_root_is_that_by_eigenvalues(size, amount):
    matrices = draw_covariances(size, rank=max(size // 4, 1))
    values, vectors = torch.linalg.eigh(shrink(matrices, amount))
    expected = (vectors * values.rsqrt()[..., None, :]) @ vectors.mT
    torch.testing.assert_close(shrunk_inverse_root(matrices, amount), expected, atol=1e-9, rtol=1e-6)
    rounded = shrunk_inverse_root(matrices.float(), amount).double()
    torch.testing.assert_close(rounded, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)
    assert shrunk_inverse_root(torch.zeros(1, size, size), amount).isfinite().all()

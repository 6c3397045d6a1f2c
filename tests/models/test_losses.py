# SPDX-License-Identifier: Apache-2.0
"""The losses that contrast windows and that tell what is known of people, against numbers worked by hand."""

import doctest
import math

import pytest
import torch

from eeg_hf.models import objective_two_views
from eeg_hf.models.contrast import Temperature
from eeg_hf.models.objective_auxiliary import auxiliary_task_loss
from eeg_hf.models.objective_same_stimulus import MovieISCLoss, movie_isc_loss
from eeg_hf.models.objective_two_views import InfoNCE, info_nce_loss

TASKS = {
    "age": {"num_outputs": 1, "weight": 2.0, "mean": 10.0, "std": 4.0},
    "sex": {"num_outputs": 2, "weight": 0.5},
}


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(degrees):
    """Return unit vectors of the plane at these angles, whose cosines are known."""
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([radians.cos(), radians.sin()], dim=-1)


def softplus(number):
    return math.log1p(math.exp(number))


def test_docstrings_say_what_happens():
    result = doctest.testmod(objective_two_views)
    assert result.attempted and not result.failed


def test_info_nce_is_the_number_worked_by_hand():
    # Cosines of rows and columns: [[cos 60, cos 90], [cos 90, cos 60]]: each finds its partner at
    # softplus((cos 90 - cos 60) / temperature), from both sides
    first, second = unit([0.0, 150.0]), unit([60.0, 90.0])
    expected = softplus((0 - 0.5) / 0.25)
    assert info_nce_loss(first, second, 0.25).item() == pytest.approx(expected, rel=1e-5)
    assert info_nce_loss(7 * first, 0.1 * second, 0.25).item() == pytest.approx(expected, rel=1e-5)
    # and where the two sides differ, it is their mean
    first, second = unit([0.0, 60.0]), unit([0.0, 0.0])
    by_row = [math.log(2), math.log(2)]
    by_column = [softplus(0.5 - 1.0), softplus(1.0 - 0.5)]
    expected = sum(by_row + by_column) / 4
    assert info_nce_loss(first, second, 1.0).item() == pytest.approx(expected, rel=1e-5)
    assert info_nce_loss(second, first, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_nothing_in_common_costs_the_logarithm_of_the_batch():
    same = torch.ones(16, 8)
    assert info_nce_loss(same, same).item() == pytest.approx(math.log(16), rel=1e-5)
    assert info_nce_loss(torch.eye(16), torch.eye(16)).item() < 1e-4


def test_explicit_negatives_are_those_of_all_rows_or_of_each():
    first, second = unit([0.0, 0.0]), unit([0.0, 60.0])
    shared = unit([90.0, 180.0])
    by_row = [
        -math.log(math.exp(1.0) / (math.exp(1.0) + 1 + math.exp(-1))),
        -math.log(math.exp(0.5) / (math.exp(0.5) + 1 + math.exp(-1))),
    ]
    found = info_nce_loss(first, second, 1.0, negatives=3 * shared)
    assert found.item() == pytest.approx(sum(by_row) / 2, rel=1e-5)
    own = torch.stack([shared, unit([60.0, 60.0])])
    by_row[1] = math.log(3)
    found = info_nce_loss(first, second, 1.0, negatives=own)
    assert found.item() == pytest.approx(sum(by_row) / 2, rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5, 2), (2,), (2, 5, 3), (1, 2, 5, 2)])
def test_negatives_that_fit_no_row_are_refused(shape):
    with pytest.raises(ValueError, match="negatives: expected"):
        info_nce_loss(draw(2, 2), draw(2, 2), negatives=draw(*shape))


def test_views_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"two views .* got \(4, 8\) and \(3, 8\)"):
        info_nce_loss(draw(4, 8), draw(3, 8))


@pytest.mark.parametrize("temperature", [0, -0.07])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    who = torch.tensor([0, 1])
    for attempt in (
        lambda: info_nce_loss(draw(2, 2), draw(2, 2), temperature),
        lambda: InfoNCE(temperature),
        lambda: InfoNCE(temperature, is_learnable=True),
        lambda: MovieISCLoss(temperature),
        lambda: movie_isc_loss(draw(2, 2), torch.zeros(2), torch.zeros(2), who, temperature=temperature),
    ):
        with pytest.raises(ValueError, match="temperature: expected more than 0"):
            attempt()


def test_a_learned_temperature_gets_the_gradient_of_its_logarithm():
    first, second = draw(8, 4), draw(8, 4, seed=1)
    loss = InfoNCE(0.2, is_learnable=True)
    assert loss(first, second).item() == pytest.approx(info_nce_loss(first, second, 0.2).item(), rel=1e-5)
    loss(first, second).backward()
    step = 1e-3
    above, below = (info_nce_loss(first, second, 0.2 * math.exp(sign * step)).item() for sign in (1, -1))
    (gradient,) = (parameter.grad.item() for parameter in loss.parameters())
    assert gradient == pytest.approx((above - below) / (2 * step), rel=1e-2)
    assert not list(InfoNCE(0.2).parameters())
    restored = InfoNCE(0.07, is_learnable=True)
    restored.load_state_dict(loss.state_dict())
    assert restored.temperature().item() == pytest.approx(0.2)


def test_a_learned_temperature_stays_above_a_hundredth():
    temperature = Temperature(0.02, is_learnable=True)
    torch.nn.init.constant_(temperature.log_temperature, -20.0)
    assert temperature().item() == pytest.approx(0.01)


# Two films at two seconds; who saw what when, and what is to be seen of it
FILM = torch.tensor([5, 5, 5, 5])
SECOND = torch.tensor([0.0, 0.0, 10.0, 10.0])
PERSON = torch.tensor([1, 2, 1, 2])


def test_perfect_features_cost_nothing():
    perfect = torch.eye(4)[[0, 0, 1, 1]]
    assert movie_isc_loss(perfect, FILM, SECOND, PERSON).item() < 1e-5
    wrong = torch.eye(4)[[0, 1, 0, 1]]  # who, instead of what
    assert movie_isc_loss(wrong, FILM, SECOND, PERSON).item() > 10


def test_movie_isc_is_the_number_worked_by_hand():
    # Rows 0 and 1 are a pair and row 2 is of another second: three anchors, but row 2 has no positive
    features = unit([0.0, 60.0, 90.0])
    near, far, side = 0.5, 0.0, math.cos(math.radians(30))
    expected = (softplus((far - near) / 0.5) + softplus((side - near) / 0.5)) / 2
    found = movie_isc_loss(features, FILM[:3], SECOND[:3], torch.tensor([1, 2, 3]), temperature=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    # the same where row 2 is of a person already there: the same person at another time is a negative
    found = movie_isc_loss(features, FILM[:3], SECOND[:3], PERSON[:3], temperature=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    module = MovieISCLoss(temperature=0.5)
    assert module(features, FILM[:3], SECOND[:3], PERSON[:3]).item() == pytest.approx(expected, rel=1e-5)


def test_several_positives_are_averaged_and_do_not_push_each_other():
    features = unit([0.0, 60.0, 90.0, 180.0])
    second, person = torch.tensor([0.0, 0.0, 0.0, 30.0]), torch.tensor([1, 2, 3, 1])
    cosine = features @ features.T
    expected = sum(
        sum(softplus(float(cosine[i, 3] - cosine[i, j])) for j in range(3) if j != i) / 2 for i in range(3)
    )
    found = movie_isc_loss(features, FILM, second, person, temperature=1.0)
    assert found.item() == pytest.approx(expected / 3, rel=1e-5)
    tight = unit([0.0, 0.0, 0.0, 180.0])  # SupCon would stay at log(3) here
    assert movie_isc_loss(tight, FILM, second, person).item() < 1e-5


def test_seconds_within_the_guard_push_nothing():
    features, second = unit([0.0, 60.0, 90.0]), torch.tensor([0.0, 0.0, 1.5])
    inputs = (features, FILM[:3], second, PERSON[:3])
    assert movie_isc_loss(*inputs, guard_seconds=2.0).item() == 0
    assert movie_isc_loss(*inputs, guard_seconds=1.5).item() > 1e-3


def test_the_order_of_the_windows_does_not_matter():
    features, order = draw(12, 8), torch.randperm(12, generator=torch.Generator().manual_seed(0))
    films, seconds, people = torch.meshgrid(
        torch.tensor([1, 2]), torch.tensor([0, 5]), torch.arange(3), indexing="ij"
    )
    labels = [films.flatten(), seconds.flatten(), people.flatten()]
    expected = movie_isc_loss(features, *labels)
    shuffled = movie_isc_loss(features[order], *(label[order] for label in labels))
    torch.testing.assert_close(shuffled, expected)


def test_windows_without_a_moment_take_no_part():
    features = unit([0.0, 60.0, 90.0]).requires_grad_()
    expected = movie_isc_loss(features, FILM[:3], SECOND[:3], PERSON[:3])
    more = torch.cat([features, draw(3, 2)]).detach().requires_grad_()
    film = torch.cat([FILM[:3], torch.tensor([-1, -1, 5])])
    second = torch.cat([SECOND[:3], torch.tensor([math.nan, 0.0, math.nan])])
    found = movie_isc_loss(more, film, second, torch.tensor([1, 2, 1, 1, 1, 9]))
    torch.testing.assert_close(found, expected)
    found.backward()
    assert more.grad.isfinite().all() and more.grad[:3].any() and not more.grad[3:].any()


def test_a_person_twice_at_one_second_is_refused():
    with pytest.raises(ValueError, match="1 windows of the batch repeat a subject"):
        movie_isc_loss(draw(4, 2), FILM, SECOND, torch.tensor([1, 1, 1, 2]))


@pytest.mark.parametrize("film", [[1, 2, 3, 4], [-1, -1, -1, -1]])
def test_a_batch_without_a_positive_is_refused(film):
    with pytest.raises(ValueError, match="no two subjects met the same stimulus"):
        movie_isc_loss(draw(4, 2), torch.tensor(film), torch.zeros(4), PERSON)


def test_gradients_are_finite_without_any_negative():
    features = draw(2, 4).requires_grad_()
    loss = movie_isc_loss(features, FILM[:2], SECOND[:2], PERSON[:2])
    loss.backward()
    assert loss == 0 and features.grad.isfinite().all()


def test_auxiliary_loss_is_the_number_worked_by_hand():
    predictions = {"age": torch.tensor([[12.0], [10.0]]), "sex": torch.tensor([[0.0, 0.0], [3.0, 1.0]])}
    targets = {"age": torch.tensor([10.0, 6.0]), "sex": torch.tensor([1, 0])}
    age = ((2 / 4) ** 2 + (4 / 4) ** 2) / 2
    sex = (math.log(2) + softplus(-2.0)) / 2
    found = auxiliary_task_loss(predictions, targets, TASKS)
    assert found.item() == pytest.approx(2.0 * age + 0.5 * sex, rel=1e-6)


@pytest.mark.parametrize("missing", [math.nan, -100.0])
def test_missing_labels_are_left_out(missing):
    predictions = {"age": draw(3, 1), "sex": draw(3, 2)}
    known = {"age": torch.tensor([8.0]), "sex": torch.tensor([1])}
    expected = auxiliary_task_loss({task: each[:1] for task, each in predictions.items()}, known, TASKS)
    targets = {"age": torch.tensor([8.0, missing, missing]), "sex": torch.tensor([1, -100, -100])}
    torch.testing.assert_close(auxiliary_task_loss(predictions, targets, TASKS), expected)
    targets["sex"] = torch.tensor([1.0, missing, missing])  # as a column with gaps comes
    torch.testing.assert_close(auxiliary_task_loss(predictions, targets, TASKS), expected)


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"age": torch.full((3,), math.nan), "sex": torch.full((3,), -100)},
        {"age": torch.full((3,), -100), "sex": torch.full((3,), math.nan)},
    ],
)
def test_no_label_at_all_is_zero_with_a_path_for_gradients(targets):
    predictions = {"age": draw(3, 1).requires_grad_(), "sex": draw(3, 2).requires_grad_()}
    loss = auxiliary_task_loss(predictions, targets, TASKS)
    loss.backward()
    assert loss == 0
    assert all(torch.equal(each.grad, torch.zeros_like(each)) for each in predictions.values())


def test_the_loss_of_a_number_does_not_depend_on_its_unit():
    years, told = torch.tensor([8.0, 12.0, math.nan]), draw(3, 1) + 10
    losses_of_age = [
        auxiliary_task_loss(
            {"age": told * months},
            {"age": years * months},
            {"age": {"num_outputs": 1, "mean": 10.0 * months, "std": 4.0 * months}},
        )
        for months in (1, 12)
    ]
    torch.testing.assert_close(*losses_of_age)


def test_targets_that_cannot_be_are_refused():
    predictions = {"age": draw(2, 1), "sex": draw(2, 2)}
    with pytest.raises(ValueError, match=r"unknown task \['hieght'\], expected some of \['age', 'sex'\]"):
        auxiliary_task_loss(predictions, {"hieght": torch.zeros(2)}, TASKS)
    for wrong in (2, -1):
        with pytest.raises(ValueError, match=f"'sex': expected class indices 0 to 1, got {wrong}"):
            auxiliary_task_loss(predictions, {"sex": torch.tensor([0, wrong])}, TASKS)

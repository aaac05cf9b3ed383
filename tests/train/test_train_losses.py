"""Terms of the loss compared with scipy and manual results; gradients by finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from napari_ulm3d.networks.bubblenet import BubbleOutput
from napari_ulm3d.sparse import Coordinates
from napari_ulm3d.train.bubbles.loss import batch_targets, bubble_loss, count_loss, mixture_loss
from napari_ulm3d.train.bubbles.targets import Bubbles, Targets, make_targets
from napari_ulm3d.train.config import LossConfig

COORDINATES = np.array([[0, 2, 2, 2], [0, 2, 2, 3], [0, 5, 5, 5], [1, 2, 2, 2]], np.int32)
SHAPE = (2, 8, 8, 8)

TERMS = ("detection", "position", "count", "velocity", "level")


def some_targets() -> Targets:
    position = np.array([[2.2, 1.9, 2.4], [2.0, 2.0, 2.1]])
    velocity = np.array([[0.5, 0, -0.5], [0.1, 0.2, 0.3]], np.float32)
    level = np.array([1.0, np.nan], np.float32)
    return make_targets(COORDINATES, SHAPE, Bubbles(np.array([0, 1]), position, velocity, level))


def batch(*targets, dtype=torch.float64):
    made = batch_targets(targets, [len(COORDINATES)] * len(targets), SHAPE[0])
    return type(made)(*(v.to(dtype) if v.is_floating_point() else v for v in vars(made).values()))


def numbers(seed=0):
    rng = torch.Generator().manual_seed(seed)
    n = len(COORDINATES)
    return [
        torch.randn(*shape, generator=rng, dtype=torch.float64).mul_(0.3).requires_grad_()
        for shape in ((n,), (n, 3), (n, 3), (n, 3), (n,))
    ]


def output(values, batches=1):
    logit, offset, log_sigma, velocity, level = values
    indices = np.concatenate([np.insert(COORDINATES, 0, k, axis=1) for k in range(batches)])
    coordinates, _ = Coordinates.create(torch.from_numpy(indices), SHAPE, batches)
    return BubbleOutput(logit, offset, log_sigma, velocity, level, coordinates)


def test_mixture_is_scipys_sum_of_gaussians():
    logit, offset, log_sigma, *_ = numbers()
    loss = mixture_loss(
        torch.nn.functional.logsigmoid(logit), offset, log_sigma, batch(some_targets())
    )
    p = torch.sigmoid(logit).detach().numpy()
    mean = COORDINATES[:, 1:] + offset.detach().numpy()
    sigma = np.exp(log_sigma.detach().numpy())
    expected = []
    for place, rows in (([2.2, 1.9, 2.4], [0, 1]), ([2.0, 2.0, 2.1], [3])):
        expected.append(
            -np.log(sum(p[k] * norm.pdf(place, mean[k], sigma[k]).prod() for k in rows))
        )
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-6)


def test_flat_axes_do_not_count():
    kept = COORDINATES * [1, 1, 0, 1]
    targets = make_targets(
        kept[:3].astype(np.int32),
        (2, 8, 1, 8),
        Bubbles(
            np.array([0]),
            np.array([[2.0, 0.3, 2.0]]),
            np.zeros((1, 3), np.float32),
            np.ones(1, np.float32),
        ),
    )
    logit, offset, log_sigma, *_ = numbers()
    offset.data[:, 1] = 1e3
    made = batch(targets)
    loss = mixture_loss(torch.nn.functional.logsigmoid(logit), offset, log_sigma, made)
    assert loss.item() < 20
    (gradient,) = torch.autograd.grad(loss, offset)
    assert (gradient[:, 1] == 0).all()


def test_count_is_a_gaussian():
    p = torch.tensor([0.5, 0.25, 0.9], dtype=torch.float64)
    loss = count_loss(p, torch.tensor([0, 0, 1]), torch.tensor([1.0, 1.0]), variance_floor=0.1)
    mean, variance = np.array([0.75, 0.9]), np.array([0.25 + 0.1875, 0.09]) + 0.1
    expected = -norm.logpdf(1, mean, np.sqrt(variance)) - 0.5 * np.log(2 * np.pi)
    assert loss.item() == pytest.approx(expected.mean())


@pytest.mark.slow
def test_gradients_of_every_term():
    targets = batch(some_targets(), some_targets())
    values = [torch.cat([v, v * 0.7]).detach().requires_grad_() for v in numbers()]
    for name in TERMS:
        weights = LossConfig(**dict.fromkeys(TERMS, 0.0) | {name: 1.0})
        assert torch.autograd.gradcheck(
            lambda *v, w=weights: bubble_loss(output(v, 2), targets, w)[0], values
        ), name


def test_the_total_is_the_weighted_sum():
    config = LossConfig(detection=2, position=3, count=5, velocity=7, level=11)
    total, terms = bubble_loss(output(numbers()), batch(some_targets()), config)
    expected = sum(getattr(config, name) * term.item() for name, term in terms.items())
    assert total.item() == pytest.approx(expected)
    assert set(terms) == set(TERMS)


def test_perfect_predictions_cost_less():
    targets = batch(some_targets())
    logit, offset, log_sigma, velocity, level = numbers()
    before, _ = bubble_loss(
        output((logit, offset, log_sigma, velocity, level)), targets, LossConfig()
    )
    with torch.no_grad():
        rows = targets.voxel
        logit.fill_(-6)
        logit[rows] = 6
        offset[rows] = targets.offset[:, 0]
        log_sigma.fill_(-3)
        velocity[rows], level[rows[:1]] = targets.velocity, targets.level[:1]
    after, terms = bubble_loss(
        output((logit, offset, log_sigma, velocity, level)), targets, LossConfig()
    )
    assert after < before - 5
    assert terms["velocity"] == 0
    assert terms["level"] == 0


def test_a_batch_without_bubbles_has_a_gradient():
    nothing = make_targets(
        COORDINATES, SHAPE,
        Bubbles(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)),
    )  # fmt: skip
    values = numbers()
    total, _ = bubble_loss(output(values), batch(nothing), LossConfig())
    total.backward()
    assert torch.isfinite(total)
    assert (values[0].grad > 0).all()


def test_a_bubble_that_moves_by_voxels_does_not_outweigh_one_that_hardly_moves():
    logit, offset, log_sigma, velocity, level = numbers()

    def cost(factor: float) -> float:
        """Velocities predicted as half of their true values."""
        targets = batch(some_targets())
        targets.velocity.mul_(factor)
        with torch.no_grad():
            velocity[targets.voxel] = 0.5 * targets.velocity
        values = (logit, offset, log_sigma, velocity, level)
        return bubble_loss(output(values), targets, LossConfig())[1]["velocity"].item()

    still, slow, fast = cost(0.01), cost(1.0), cost(100.0)
    assert still < slow < fast < 3 * 2.5  # three axes of 0.5 / 0.2 at most


def test_doubt_lets_uncertain_bubbles_pull_as_hard_as_certain_ones():
    one = make_targets(
        np.array([[0, 1, 1, 1], [1, 1, 1, 1]], np.int32), (2, 3, 3, 3),
        Bubbles(np.array([0, 1]), np.array([[1.2, 1, 1]] * 2), np.zeros((2, 3), np.float32), np.zeros(2, np.float32)),
    )  # fmt: skip
    log_sigma = torch.tensor([[-3.0], [-1.0]], dtype=torch.float64).expand(2, 3)

    def pull(doubt: float) -> torch.Tensor:
        offset = torch.zeros((2, 3), dtype=torch.float64, requires_grad=True)
        certain = torch.zeros(2, dtype=torch.float64)
        loss = mixture_loss(certain, offset, log_sigma, batch(one), doubt)
        return torch.autograd.grad(loss, offset)[0][:, 0].abs()

    plain, half, full = pull(0), pull(1), pull(2)
    assert plain[0] / plain[1] == pytest.approx(np.exp(4))
    assert half[0] / half[1] == pytest.approx(np.exp(2))
    assert full[0] / full[1] == pytest.approx(1)


def test_two_bubbles_per_voxel_are_two_terms_of_the_mixture_and_of_the_count():
    targets = make_targets(
        COORDINATES,
        SHAPE,
        Bubbles(
            np.array([0, 0]),
            np.array([[2.0, 2.0, 1.9], [2.0, 2.0, 2.2]]),
            np.zeros((2, 3), np.float32),
            np.array([0.2, 0.7], np.float32),
        ),
        per_voxel=2,
    )
    assert targets.voxel.tolist() == [1, 0]
    n = 2 * len(COORDINATES)
    rng = torch.Generator().manual_seed(2)
    values = [
        torch.randn(*shape, generator=rng, dtype=torch.float64)
        for shape in ((n,), (n, 3), (n, 3), (n, 3), (n,))
    ]
    made = batch_targets([targets], [n], SHAPE[0])
    made = type(made)(*(v.double() if v.is_floating_point() else v for v in vars(made).values()))
    total, terms = bubble_loss(replace(output(values), per_voxel=2), made, LossConfig())
    logit, offset, log_sigma, _, level = (v.numpy() for v in values)
    p, sigma = 1 / (1 + np.exp(-logit)), np.exp(log_sigma)
    mean = np.repeat(COORDINATES[:, 1:], 2, axis=0) + offset
    density = [
        sum(p[k] * norm.pdf(place, mean[k], sigma[k]).prod() for k in range(4))
        for place in ([2.0, 2.0, 1.9], [2.0, 2.0, 2.2])
    ]
    assert terms["position"].item() == pytest.approx(-np.mean(np.log(density)), rel=1e-5)
    entropy = -np.log([p[0], p[1], *(1 - p[2:])]).sum()
    assert terms["detection"].item() == pytest.approx(entropy / (2 + 0.01 * len(COORDINATES)))
    sums = np.array([p[:6].sum(), p[6:].sum()])
    spread = np.array([(p[:6] * (1 - p[:6])).sum(), (p[6:] * (1 - p[6:])).sum()]) + 0.5
    expected = 0.5 * (np.array([2, 0]) - sums) ** 2 / spread + 0.5 * np.log(spread)
    assert terms["count"].item() == pytest.approx(expected.mean())
    # The brighter one belongs to the first row.
    far = np.abs(level[:2] - [0.7, 0.2])
    huber = np.where(far < 0.1, far**2 / 0.2, far - 0.05)
    assert terms["level"].item() == pytest.approx(huber.mean(), rel=1e-5)
    assert total.isfinite()

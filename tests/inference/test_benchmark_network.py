# SPDX-License-Identifier: Apache-2.0
"""A pretrained encoder in the hands of a benchmark that builds networks as braindecode does."""

import mne
import numpy as np
import pytest
import torch
from scipy import signal
from torch import nn

from eeg_hf.inference.benchmark_network import BenchmarkNetwork, resample

NAMES = ["C3", "Cz", "C4", "O1", "O2"]


def test_a_benchmark_builds_it_replaces_the_head_and_trains_that_alone():
    info = mne.create_info(NAMES, 250.0, "eeg")
    torch.manual_seed(0)
    network = BenchmarkNetwork(n_chans=5, n_times=1000, n_outputs=4, sfreq=250.0, chs_info=info["chs"])
    volts = 2e-5 * torch.randn(3, 5, 1000)
    assert network(volts).shape == (3, 4) and network.num_samples == 800
    torch.testing.assert_close(network.eval()(volts)[:2], network(volts[:2]))

    # As Open EEG Bench probes a frozen model
    network.final_layer = nn.Sequential(nn.Flatten(1), nn.LazyLinear(2))
    network(volts[:1])
    network.requires_grad_(False)
    network.final_layer.requires_grad_(True)
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.SGD(network.final_layer.parameters(), lr=1.0)
    nn.functional.cross_entropy(network(volts), torch.tensor([0, 1, 1])).backward()
    optimizer.step()
    moved = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"final_layer.1.weight", "final_layer.1.bias"}


def test_windows_are_resampled_as_scipy_does():
    values = np.random.default_rng(0).normal(size=(2, 3, 1000))
    for number in (800, 799, 1250):
        found = resample(torch.from_numpy(values), number).numpy()
        np.testing.assert_allclose(found, signal.resample(values, number, axis=-1), atol=1e-9)


def test_electrodes_that_nobody_knows_are_refused():
    with pytest.raises(ValueError, match="chs_info: expected the 5 electrodes, got none"):
        BenchmarkNetwork(5, 1000, 2, 250.0)
    info = mne.create_info(["X1", "Cz"], 250.0, "eeg")
    with pytest.raises(ValueError, match="X1"):
        BenchmarkNetwork(2, 1000, 2, 250.0, info["chs"])

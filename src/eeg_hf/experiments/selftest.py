# SPDX-License-Identifier: Apache-2.0
"""Whether this installation works: architectures, the signal chain into a model, training, speed."""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from ..processing.eeg_preprocessor import EEGPreprocessor
from ..processing.feature_extraction_eeg import EEGFeatureExtractor

TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "eeg_foundation": TINY,
    "eeg_masked_vae": {**TINY, "num_decoder_layers": 1, "latent_size": 8},
    "eeg_conv_transformer": {**TINY, "num_channels": 19, "conv_size": 16},
    "eeg_fsq": {"patch_size": 200, "hidden_dims": [32], "levels": [8, 5, 5]},
}
CHANNELS = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7", "P8"]
RATE = 250.0
MEASURED_SECONDS = 1.0


def run() -> None:
    """Run all checks, print a line for each, and end the process with 1 if one failed."""
    checks: dict[str, Callable[[], str]] = {
        **{f"model {name}": partial(check_architecture, name) for name in ARCHITECTURES},
        "adaptive preprocessing": check_preprocessing,
        "preprocessing into a model": check_signal_chain,
        "training": check_training,
        "speed": measure_speed,
    }
    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        failed = [name for name, check in checks.items() if not report(name, check)]
    finally:
        if had_bars:
            logging.enable_progress_bar()
    sys.stdout.write(f"{len(checks) - len(failed)} of {len(checks)} checks passed\n")
    if failed:
        sys.exit(1)


def report(name: str, check: Callable[[], str]) -> bool:
    """Run a check, print its line, and return whether it passed."""
    started = time.monotonic()
    try:
        found, passed = check(), True
    except Exception as error:  # whatever is wrong with an installation, the other checks still say something
        found, passed = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", False
    seconds = time.monotonic() - started
    sys.stdout.write(f"{'ok    ' if passed else 'FAILED'} {name:28} {seconds:5.1f} s  {found}\n")
    sys.stdout.flush()
    return passed


def require(holds: bool, expected: str) -> None:
    """Raise an error if something does not hold."""
    if not holds:
        raise RuntimeError(f"expected {expected}")


def build_model(name: str, fields: dict[str, Any]) -> Any:
    """Return a model with random weights."""
    return AutoModel.from_config(AutoConfig.for_model(name, **fields))


def check_architecture(name: str) -> str:
    """Build a model, compute gradients, save it, load it, and compare the answers."""
    torch.manual_seed(0)
    model = build_model(name, ARCHITECTURES[name])
    windows = torch.randn(2, 19, 1000)
    output = model(windows)
    (output.loss if name == "eeg_fsq" else output.pooler_output.square().mean()).backward()
    learning = [each.grad for each in model.parameters() if each.grad is not None]
    require(all(bool(each.isfinite().all()) for each in learning), "finite gradients")
    model.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        loaded = type(model).from_pretrained(folder)
        key = "reconstruction" if name == "eeg_fsq" else "pooler_output"
        same = torch.equal(loaded(windows)[key], model(windows)[key])
    require(same, "the same answer after saving and loading")
    return f"{model.num_parameters():,} parameters, {len(learning)} tensors with gradients, saved and loaded"


def simulate_recording(seconds: float = 20.0) -> np.ndarray:
    """Return 16 channels in volts with alpha, drifts, line noise at 50 Hz and one dead channel."""
    rng = np.random.default_rng(0)
    times = np.arange(int(seconds * RATE)) / RATE
    alpha = 15e-6 * np.sin(2 * np.pi * 10 * times)
    eeg = 8e-6 * rng.normal(size=(len(CHANNELS), len(times))) + alpha * np.linspace(0.3, 1, 16)[:, None]
    eeg += 40e-6 * np.sin(2 * np.pi * 50 * times) + 100e-6 * times / seconds
    eeg[3] = 0.0
    return eeg


def check_preprocessing() -> str:
    """Clean a recording adaptively: line noise goes, alpha stays, the dead channel is named."""
    preprocessor = EEGPreprocessor(use_adaptive=True, input_sampling_rate=RATE, unit="V")
    clean, info = preprocessor.preprocess_eeg(simulate_recording(), CHANNELS)
    power = np.abs(np.fft.rfft(clean[-1])) ** 2
    frequencies = np.fft.rfftfreq(clean.shape[1], 1 / float(str(info["sampling_rate"])))
    alpha, line = (power[np.abs(frequencies - hertz) < 1].sum() for hertz in (10.0, 50.0))
    require(
        "F4" in str(info["bad_channels"]), f"F4, which is flat, among bad channels {info['bad_channels']}"
    )
    require(alpha > 10 * line, f"10 Hz above 50 Hz, got a ratio of {alpha / line:.2g}")
    return f"bad: {', '.join(info['bad_channels'])}; 10 Hz is {alpha / line:.0f} times 50 Hz"  # type: ignore[arg-type]


def check_signal_chain() -> str:
    """Make a model's inputs from volts and from microvolts in another order: the answer is the same."""
    extractor = EEGFeatureExtractor(window_seconds=4.0)
    model = build_model("eeg_foundation", TINY).eval()
    volts = simulate_recording()
    answers = []
    units: tuple[Literal["V", "uV"], ...] = ("V", "uV")
    for unit, step in zip(units, (1, -1), strict=True):
        samples, names = volts[::step] * {"V": 1.0, "uV": 1e6}[unit], CHANNELS[::step]
        inputs = extractor(samples, sampling_rate=RATE, channel_names=names, unit=unit, return_tensors="pt")
        with torch.no_grad():
            answers.append(model(**inputs).pooler_output)
    error = float((answers[0] - answers[1]).abs().max())
    require(error < 1e-3, f"the same answer in another unit and order, got a difference of {error:.2g}")
    return f"{tuple(answers[0].shape)}; V and uV, and either order of channels, differ by {error:.0e}"


def check_training() -> str:
    """Train a classifier on two kinds of windows: it learns to tell them apart."""
    torch.manual_seed(0)
    model = build_model("eeg_foundation", {**TINY, "dropout": 0.0}).add_classification_head(2)
    windows, labels = torch.randn(32, 19, 400), torch.arange(32) % 2
    windows[labels == 1] += 2 * torch.sin(2 * torch.pi * 10 * torch.arange(400) / 200)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = model(windows, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    require(losses[-1] < 0.5 * losses[0], f"a loss below half of {losses[0]:.3f}, got {losses[-1]:.3f}")
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} steps"


def measure_speed() -> str:
    """Measure how fast this machine encodes windows of 5 s of 19 channels."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = {"d_model": 128, "n_layers": 3, "n_heads": 4, "d_ff": 512}
    model = build_model("eeg_foundation", sizes).eval().to(device)
    windows = torch.randn(8, 19, 1000, device=device)
    with torch.no_grad():
        model(windows)  # the first pass allocates
        started, passes = time.monotonic(), 0
        while time.monotonic() - started < MEASURED_SECONDS:
            model(windows)[0].sum().item()  # which waits for the device
            passes += 1
    rate = passes * len(windows) / (time.monotonic() - started)
    return f"{rate:,.0f} windows a second (d_model 128, 3 layers) on {describe(device)}"


def describe(device: torch.device) -> str:
    """Return the name of a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"

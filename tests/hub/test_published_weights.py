# SPDX-License-Identifier: Apache-2.0
"""Weights in the layouts that others publish: all tensors or none, and the signals they were trained on."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification

from eeg_hf import get_corpus
from eeg_hf.hub.published_contracts import CONTRACTS
from eeg_hf.hub.published_weights import load_published

models = pytest.importorskip("braindecode.models")

TEN_TWENTY = list(CONTRACTS["CBraMod"].channels)
# Small networks of each architecture, built by braindecode alone
SIZES = {
    "Labram": {"num_layers": 1, "embed_dim": 200},
    "BIOT": {"embed_dim": 32, "num_layers": 1, "num_heads": 2},
    "CBraMod": {"n_layer": 1, "dim_feedforward": 32},
    "BENDR": {"encoder_h": 16, "contextualizer_hidden": 32, "transformer_layers": 1, "transformer_heads": 2},
    "SignalJEPA_PreLocal": {},
}


def build(architecture, seconds, num_labels=5):
    """Return braindecode's own network and what it was built with."""
    contract = CONTRACTS[architecture]
    names = list(contract.channels or TEN_TWENTY)
    sizes = {"n_times": round(seconds * contract.sampling_rate), "sfreq": contract.sampling_rate}
    if architecture.startswith("SignalJEPA"):
        from eeg_hf.processing.electrode_positions import electrode_positions

        places = electrode_positions(names)
        sizes["chs_info"] = [
            {"ch_name": name, "kind": "eeg", "loc": [*map(float, place), *[0.0] * 9]}
            for name, place in zip(names, places, strict=True)
        ]
    torch.manual_seed(1)
    return getattr(models, architecture)(
        n_chans=len(names) + (architecture == "BENDR"), n_outputs=num_labels, **sizes, **SIZES[architecture]
    )


def write(network, path, layout):
    """Write weights as somebody would publish them."""
    tensors = {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
    if layout == "folder of safetensors":
        path.mkdir()
        save_file(tensors, path / "model.safetensors")
    elif layout == "state dict":
        torch.save(tensors, path)
    elif layout == "student in model":
        torch.save({"model": {f"student.{name}": value for name, value in tensors.items()}, "epoch": 3}, path)
    else:
        torch.save({"state_dict": {f"module.model.{name}": value for name, value in tensors.items()}}, path)
    return path


LAYOUTS = ["folder of safetensors", "state dict", "student in model", "module in state_dict"]


@pytest.mark.parametrize(
    ("architecture", "layout"),
    [
        *[("BIOT", layout) for layout in LAYOUTS],
        ("Labram", "student in model"),
        ("CBraMod", "state dict"),
        ("BENDR", "state dict"),
        ("SignalJEPA_PreLocal", "module in state_dict"),
    ],
)
def test_every_tensor_of_a_checkpoint_is_found_in_its_layout(architecture, layout, tmp_path):
    seconds = 4 if architecture != "SignalJEPA_PreLocal" else 16
    bare = build(architecture, seconds)
    path = write(bare, tmp_path / "weights", layout)
    published = load_published(path, architecture, window_seconds=seconds, network=SIZES[architecture])
    assert published.report.is_whole and not published.report.missing
    found = published.model.model.network.state_dict()
    for name, value in bare.state_dict().items():
        if name in published.report.matched:
            assert torch.equal(found[name], value), name
    assert all(name.startswith("final_layer") for name in published.report.new_head)
    assert published.extractor.sampling_rate == CONTRACTS[architecture].sampling_rate
    same = load_published(
        path, architecture, window_seconds=seconds, network=SIZES[architecture], num_labels=5
    )
    assert not same.report.new_head
    windows = 20 * torch.randn(2, same.model.config.num_channels, same.model.config.num_samples)
    with torch.no_grad():
        logits = same.model(windows).logits
        published.save_pretrained(tmp_path / "saved")
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
        assert logits.shape == (2, 5) and loaded(windows).logits.shape == (2, 2)
        if architecture == "BIOT":
            scale = windows.abs().quantile(0.95, dim=-1, keepdim=True) + 1e-8
            torch.testing.assert_close(bare.eval()(windows / scale), logits)


def test_a_partial_load_is_refused_unless_it_is_asked_for(tmp_path):
    bare = build("BIOT", 4)
    path = write(bare, tmp_path / "weights", "state dict")
    with pytest.raises(
        ValueError, match=r"is not BIOT as it was built: .* of another shape .*allow_partial=True"
    ):
        load_published(path, "BIOT", window_seconds=4, network={**SIZES["BIOT"], "embed_dim": 64})
    other = write(build("CBraMod", 4), tmp_path / "other", "state dict")
    with pytest.raises(ValueError, match="0 tensors matched"):
        load_published(other, "BIOT", window_seconds=4, network=SIZES["BIOT"])
    tensors = torch.load(path, weights_only=True)
    lost = next(name for name in tensors if not name.startswith("final_layer"))
    del tensors[lost]
    torch.save(tensors, path)
    with pytest.raises(ValueError, match="1 missing"):
        load_published(path, "BIOT", window_seconds=4, network=SIZES["BIOT"])
    part = load_published(path, "BIOT", window_seconds=4, network=SIZES["BIOT"], allow_partial=True)
    assert part.report.missing == (lost,) and len(part.report.matched) > 10


def test_any_montage_is_brought_to_the_channels_of_the_contract(tmp_path):
    corpus = get_corpus("simulated", num_subjects=1, seconds=10)
    raw = corpus.read(corpus.recordings()[0])
    bipolar = CONTRACTS["BIOT"].extractor(window_seconds=4.0)
    batch = bipolar(raw, return_report=True)
    assert batch["input_values"].shape[1:] == (16, 800)
    few = raw.copy().drop_channels(["Fz"])
    batch = CONTRACTS["CBraMod"].extractor(window_seconds=4.0)(few, return_report=True)
    assert batch["input_values"].shape[1:] == (19, 800)
    assert "Fz" in str(batch["report"][0])
    with pytest.raises(ValueError, match="sampling_rate: the weights of CBraMod were trained with 200"):
        CONTRACTS["CBraMod"].extractor(sampling_rate=100)


@pytest.mark.parametrize(
    ("source", "architecture", "message"),
    [
        ("weights.pt", "Labrams", "did you mean 'Labram'"),
        ("weights.pt", "EEGNet", "no signals are known of published weights of EEGNet"),
        ("no/such/file", "BIOT", "neither a file, a folder nor the name of a repository"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(source, architecture, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_published(source, architecture)


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="without code"):
        load_published(tmp_path / "trap.pt", "BIOT")

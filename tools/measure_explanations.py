# SPDX-License-Identifier: Apache-2.0
"""Measure explanations: recall of a simulated truth, faithfulness, dependence on the weights, a picture.

    python tools/measure_explanations.py --draws 10
    python tools/measure_explanations.py --eegmat out/ --draws 0

Each draw trains a model to tell two classes apart that differ in one band at three neighbouring electrodes,
both chosen at random, then asks which electrodes and which band the explanations name. The mean over all
windows of a validation set is explained. --eegmat explains the bundled classifier on its test subjects.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from transformers import pipeline

import eeg_hf
from eeg_hf import BraindecodeConfig, BraindecodeForSequenceClassification, get_corpus
from eeg_hf.corpora.simulated_corpus import background
from eeg_hf.inference.explanation import (
    compare_with_random_weights,
    explain,
    explain_pairs,
    measure_faithfulness,
)
from eeg_hf.inference.explanation.band_parts import BANDS, split_bands
from eeg_hf.models.configuration_eeg_foundation import EEGFoundationConfig
from eeg_hf.models.modeling_eeg_foundation import EEGFoundationForSequenceClassification
from eeg_hf.models.second_order import mean_over_stretches
from eeg_hf.models.standard_montage import STANDARD_POSITIONS
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.training.convex_head import fit_head

RATE, SECONDS, NUM = 100.0, 4.0, 240
PLACES = np.array([STANDARD_POSITIONS[name] for name in STANDARD_19])


def simulate(draw: int) -> tuple[torch.Tensor, torch.Tensor, list[int], str]:
    """Return windows, classes, and the truth: three electrodes and a band."""
    random = np.random.default_rng(draw)
    centre = int(random.integers(len(STANDARD_19)))
    places = np.argsort(np.linalg.norm(PLACES - PLACES[centre], axis=1))[:3].tolist()
    band = str(random.choice(["theta", "alpha", "beta"]))
    labels = torch.from_numpy(random.integers(0, 2, NUM))
    length = round(RATE * SECONDS)
    windows = torch.from_numpy(np.stack([background(length, RATE, random) for _ in range(NUM)])).float()
    source = split_bands(torch.from_numpy(random.normal(size=(NUM, 1, length))).float(), RATE, BANDS)[band]
    windows[:, places] += 1.5 * source / source.std() * labels[:, None, None]
    windows -= windows.mean(dim=1, keepdim=True)
    scale = windows.flatten(2).std(dim=-1, keepdim=True)
    return windows / scale, labels, places, band


def train(kind: str, windows: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    """Return a model that tells the classes apart, trained on the first two thirds."""
    torch.manual_seed(0)
    count = 2 * NUM // 3
    if kind == "convolutions":
        network = {"architecture": "ShallowFBCSPNet", "num_channels": 19, "num_labels": 2}
        config = BraindecodeConfig(**network, num_samples=windows.shape[-1], sampling_rate=RATE)
        model = BraindecodeForSequenceClassification(config)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        for _ in range(30):
            for rows in torch.randperm(count).split(32):
                optimizer.zero_grad()
                model(windows[rows], labels=labels[rows]).loss.backward()
                optimizer.step()
        return model.eval()
    sizes = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "patch_size": 200}
    sizes["sampling_rate"] = RATE
    bands = [[1, 4], [4, 8], [8, 13], [13, 30], [30, 45]]
    settings = {"second_order": True, "second_order_bands": bands, "second_order_basis": kind}
    config = EEGFoundationConfig(**sizes, **settings)
    model = EEGFoundationForSequenceClassification(config).eval()
    with torch.no_grad():
        vectors, is_real = model.model.second_order_features(windows[:count])
        found = mean_over_stretches(vectors, is_real)  # contributions are counted from the mean of these
        model.model.second_order.features.set_population(None, found.mean(dim=0), found.std(dim=0))
        vectors, is_real = model.model.second_order_features(windows[:count])
        features = mean_over_stretches(vectors, is_real).flatten(1).numpy()
        head = fit_head(features, labels[:count].numpy(), np.arange(count) % 8)
        model.band_classifier.weight.copy_(torch.from_numpy(head.weight))
        model.band_classifier.bias.copy_(torch.from_numpy(head.bias))
        model.classifier.out.weight.zero_()
    return model


def measure_recall(draws: int) -> None:
    """Print the share of true electrodes among the first three, and of draws with the right band first."""
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for draw in range(draws):
        windows, labels, places, band = simulate(draw)
        for kind in ("convolutions", "channels", "harmonics"):
            model = train(kind, windows, labels)
            test = slice(2 * NUM // 3, NUM)
            positions = torch.from_numpy(PLACES).float().expand(len(windows[test]), -1, -1)
            features = {"input_values": windows[test], "channel_positions": positions}
            with torch.no_grad():
                right = (model(**features).logits.argmax(dim=1) == labels[test]).float().mean()
            is_one = labels[test] == 1
            features = {name: value[is_one][:16] for name, value in features.items()}
            tables = {}
            for method in ("integrated_gradients", "occlusion"):
                options = {"method": method, "target": 1, "step_seconds": SECONDS, "num_baselines": 2}
                tables[method] = explain(model, features, STANDARD_19, RATE, **options).by_channel_and_band
            if kind != "convolutions":
                pairs = explain_pairs(model, features, STANDARD_19, 1)
                tables["pairs"] = pairs.values.mean(axis=0).sum(axis=-1).T
            for method, table in tables.items():
                first = np.argsort(-table.max(axis=1))[:3]
                hit = list(BANDS)[int(table.sum(axis=0).argmax())] == band
                row = (float(right), len(set(first) & set(places)) / 3, float(hit))
                found.setdefault((kind, method), []).append(row)
    print("| model | method | accuracy | recall of electrodes | right band |\n|:--|:--|--:|--:|--:|")
    for (kind, method), rows in found.items():
        values = " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0))
        print(f"| {kind} | {method} | {values} |")


def explain_eegmat(output: Path) -> None:
    """Explain the bundled classifier on the windows of `task` of its test subjects."""
    name = str(eeg_hf.bundled("eeg-foundation-tiny-arithmetic"))
    classify = pipeline("eeg-classification", model=name)
    corpus = get_corpus("eegmat")
    rows = [each for each in corpus.recordings() if each.subject in corpus.official_split["test"]]
    batches = []
    for recording in (each for each in rows if each.labels["condition"] == "task"):
        features = classify.feature_extractor(corpus.read(recording), return_report=True)
        channels = features.pop("report")[0]["channels"]
        batches.append({key: value[2:10:2] for key, value in features.items()})
    features = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    output.mkdir(parents=True, exist_ok=True)
    results = {}
    for method in ("integrated_gradients", "occlusion"):
        options = {"method": method, "target": "task", "num_baselines": 2}
        options |= {"step_seconds": 5.0} if method == "occlusion" else {}
        found = explain(classify.model, features, channels, 200.0, **options)
        found.plot().savefig(output / f"{method}.png", dpi=110)
        results[method] = measure_faithfulness(classify.model, features, found, 200.0).summary
        results[method]["most_important"] = found.most_important(8)
    options = {"target": "task", "num_baselines": 2}
    results["random_weights"] = compare_with_random_weights(
        classify.model, features, channels, 200.0, **options
    )
    pairs = explain_pairs(classify.model, features, channels, "task")
    pairs.plot_topomap().savefig(output / "pairs.png", dpi=110)
    results["pairs"] = pairs.most_important()
    results["windows"] = len(features["input_values"])
    (output / "explanations.json").write_text(json.dumps(results, indent=1))
    print(json.dumps(results, indent=1))


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=10, help="simulated truths; 0 for none")
    parser.add_argument("--eegmat", type=Path, help="folder of the pictures; needs EEG_HF_DATA")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.draws:
        measure_recall(options.draws)
    if options.eegmat:
        explain_eegmat(options.eegmat)


if __name__ == "__main__":
    main()

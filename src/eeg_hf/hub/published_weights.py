# SPDX-License-Identifier: Apache-2.0
"""Weights that others published, in a network of braindecode: checked tensor by tensor, with their contract.

A checkpoint of another architecture, or of other settings, often loads in part and without a word; the
network then answers with random weights. Here what matches, what is missing and what is left over is counted,
and a partial load is refused unless it is asked for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file
from torch import nn

from ..models.configuration_braindecode import BraindecodeConfig
from ..models.modeling_braindecode import BraindecodeForSequenceClassification, find_network
from ..processing.electrode_positions import electrode_positions
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .published_contracts import CONTRACTS

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_PREFIXES = ("module.", "student.", "model.", "encoder.", "backbone.", "network.", "_orig_mod.")
_HEADS = ("final_layer.", "head.", "classifier.")
_FILES = ("model.safetensors", "pytorch_model.bin", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")
_SHOWN = 3


@dataclass(frozen=True)
class WeightReport:
    """What of a checkpoint went where.

    Attributes:
        matched: Tensors of the network that the checkpoint gave.
        new_head: Tensors of the last layer, which stay random: the labels are new.
        missing: Other tensors of the network that the checkpoint lacks.
        misshapen: Those that it has in another shape, as text.
        unexpected: Tensors of the checkpoint that the network lacks, without those of a head.
        prefix: What stood before every name and was left out.
    """

    matched: tuple[str, ...]
    new_head: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    unexpected: tuple[str, ...]
    prefix: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether all but a new head came from the checkpoint, and all of it was used."""
        return bool(self.matched) and not (self.missing or self.misshapen or self.unexpected)

    def describe(self) -> str:
        """Return the counts, and the first names of what does not fit."""
        parts = [f"{len(self.matched)} tensors matched"]
        for name, found in (
            ("new in the head", self.new_head),
            ("missing", self.missing),
            ("of another shape", self.misshapen),
            ("unexpected", self.unexpected),
        ):
            if found:
                more = ", …" if len(found) > _SHOWN else ""
                parts.append(f"{len(found)} {name} ({', '.join(found[:_SHOWN])}{more})")
        return ", ".join(parts)


@dataclass(frozen=True)
class PublishedModel:
    """A network with published weights.

    Attributes:
        model: Classifier, whose head is random unless the labels are those of the checkpoint.
        extractor: The signals that it was trained on.
        report: What was loaded.
        note: What differs from the training, in a sentence.
    """

    model: BraindecodeForSequenceClassification
    extractor: EEGFeatureExtractor
    report: WeightReport
    note: str

    def save_pretrained(self, folder: str | Path) -> None:
        """Save model and extractor: from then on an ordinary model, for `finetune --model` and pipelines."""
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        report = {"report": self.report.describe(), "note": self.note}
        (Path(folder) / "published_weights.json").write_text(json.dumps(report), encoding="utf-8")


def load_published(
    source: str | Path,
    architecture: str,
    *,
    channels: Sequence[str] | None = None,
    window_seconds: float | None = None,
    num_labels: int = 2,
    network: Mapping[str, Any] | None = None,
    allow_partial: bool = False,
) -> PublishedModel:
    """Load published weights into a network of braindecode.

    Args:
        source: A file of weights, a folder with one, or the name of a repository on the Hub. Files of PyTorch
            are read as weights only, which runs no code of theirs.
        architecture: One of `CONTRACTS`.
        channels: Electrodes of your recordings, in any order, where the contract does not fix them; the
            network looks them up by name or place. Default: the 19 of the 10-20 system.
        window_seconds: Length of windows; default: that of the training.
        num_labels: Number of classes.
        network: Further arguments of the class, where the checkpoint has other sizes than its defaults.
        allow_partial: Load what fits and leave the rest random.

    Raises:
        FileNotFoundError: If there are no weights.
        ImportError: If braindecode is not installed.
        ValueError: If the architecture is unknown or does not fit, or the weights are only partly its own.

    Example:
        >>> published = load_published("labram.pt", "Labram")  # doctest: +SKIP
        >>> published.report.describe()  # doctest: +SKIP
        '245 tensors matched, 2 new in the head (final_layer.weight, final_layer.bias)'
    """
    find_network(architecture)
    if architecture not in CONTRACTS:
        raise ValueError(
            f"architecture: no signals are known of published weights of {architecture}; known: "
            f"{', '.join(CONTRACTS)}"
        )
    contract = CONTRACTS[architecture]
    settings: dict[str, Any] = {} if window_seconds is None else {"window_seconds": window_seconds}
    if contract.channels is None:
        settings["channels"] = list(channels or CONTRACTS["CBraMod"].channels or ())
    elif channels is not None:
        settings["channels"] = list(channels)
    extractor = contract.extractor(**settings)
    tensors = read_tensors(find_file(source))
    names = list(extractor.channels or ())
    head: dict[str, Any] = {"num_labels": num_labels}
    config = BraindecodeConfig(
        architecture=architecture,
        num_channels=len(names),
        num_samples=round(float(extractor.window_seconds or 0) * contract.sampling_rate),
        sampling_rate=contract.sampling_rate,
        channel_names=names,
        channel_positions=electrode_positions(names).tolist(),
        input_scaling=contract.input_scaling,
        network=dict(network) if network else None,
        **head,
    )
    model = BraindecodeForSequenceClassification(config)
    report = fill_network(model.model.network, tensors)
    if not report.is_whole and not allow_partial:
        raise ValueError(
            f"{source} is not {architecture} as it was built: {report.describe()}: set network= to the sizes "
            "of the checkpoint, or take allow_partial=True to leave the rest random"
        )
    return PublishedModel(model.eval(), extractor, report, contract.note)


def find_file(source: str | Path) -> Path:
    """Return the file of weights that a path or a repository holds."""
    path = Path(source)
    if path.is_file():
        return path
    if not path.exists():
        if str(source).count("/") != 1:
            raise FileNotFoundError(f"{source}: neither a file, a folder nor the name of a repository")
        path = Path(snapshot_download(str(source), allow_patterns=list(_FILES)))
    found = [file for pattern in _FILES for file in sorted(path.glob(pattern))]
    if not found:
        raise FileNotFoundError(f"{source}: expected weights as one of {', '.join(_FILES)}, got none")
    return found[0]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, without what else a checkpoint holds."""
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle of other things raises what it likes
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: expected safetensors or weights of PyTorch without code: {reason}"
        ) from error
    while isinstance(content, Mapping) and (key := next((k for k in _WRAPPERS if k in content), None)):
        if not isinstance(content[key], Mapping):
            break
        content = content[key]
    tensors = {
        str(name): value
        for name, value in (content.items() if isinstance(content, Mapping) else ())
        if torch.is_tensor(value)
    }
    if not tensors:
        raise ValueError(f"{path}: expected tensors by name, got none")
    return tensors


@torch.no_grad()
def fill_network(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> WeightReport:
    """Copy the tensors of a checkpoint into a network where name and shape agree."""
    own = network.state_dict()
    renamed: Mapping[str, str] = getattr(network, "mapping", None) or {}
    prefix, given = strip_prefix({renamed.get(name, name): value for name, value in tensors.items()}, own)
    fitting = [name for name in own if name in given and given[name].shape == own[name].shape]
    network.load_state_dict({**own, **{name: given[name] for name in fitting}})
    is_head = {name for name in own if name.startswith(_HEADS) and name not in fitting}
    others = [name for name in own if name not in fitting and name not in is_head]
    return WeightReport(
        matched=tuple(fitting),
        new_head=tuple(sorted(is_head)),
        missing=tuple(name for name in others if name not in given),
        misshapen=tuple(
            f"{name} {tuple(given[name].shape)} instead of {tuple(own[name].shape)}"
            for name in others
            if name in given
        ),
        unexpected=tuple(name for name in given if name not in own and not name.startswith(_HEADS)),
        prefix=prefix,
    )


def strip_prefix(
    tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> tuple[str, dict[str, torch.Tensor]]:
    """Return the tensors without what wrappers put before their names, if that finds more of the network."""
    best, found = "", dict(tensors)
    prefix = ""
    while True:
        current = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        if len(own.keys() & current.keys()) > len(own.keys() & found.keys()):
            others = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
            best, found = prefix, {**others, **current}
        step = next((each for each in _PREFIXES if any(name.startswith(each) for name in current)), None)
        if step is None:
            return best, found
        prefix += step

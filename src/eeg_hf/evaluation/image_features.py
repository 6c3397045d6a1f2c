# SPDX-License-Identifier: Apache-2.0
"""Features by which reconstructed images are told apart: towers of open_clip and networks of torchvision.

Their weights are always named. A network without them would give features too, and a number that nobody could
compare with another.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .image_metrics import ImageFeatures

if TYPE_CHECKING:
    import torch

_INSTALL = 'pip install "eeg-hf[clip]"'
# Some constructors draw truncated normal numbers for minutes, all of which the weights then replace
_OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"transform_input": True, "init_weights": False},
    "googlenet": {"transform_input": True, "init_weights": False},
}


def open_clip_features(
    model_name: str, pretrained: str, batch_size: int = 32, device: str = "cpu"
) -> ImageFeatures:
    """Return a function from images to the embeddings of an open_clip image tower, as the CLIP row of papers.

    Args:
        model_name: A name of open_clip, such as `"ViT-L-14"`.
        pretrained: A tag of its weights, which are downloaded if need be, or a file of them.
        batch_size: Images at a time.
        device: Where to compute.

    Raises:
        ImportError: If open_clip is not there.
        ValueError: If `pretrained` is empty, or open_clip knows no such weights.

    Example:
        >>> features = open_clip_features("ViT-L-14", "openai")  # doctest: +SKIP
        >>> scores = judge_reconstructions(seen, reconstructed, {"clip": features})  # doctest: +SKIP
    """
    try:
        import open_clip
    except ImportError:
        raise ImportError(f"features of open_clip need open_clip: {_INSTALL}") from None
    if not pretrained:
        raise ValueError(f"{model_name}: expected a tag or a file of weights, got none: it would be random")
    try:
        model, _, transform = open_clip.create_model_and_transforms(model_name, pretrained=pretrained)
    except RuntimeError as error:
        raise ValueError(
            f"{model_name}: expected weights of open_clip, got {pretrained!r}: {error}"
        ) from None
    return _extractor(model.eval(), model.encode_image, transform, batch_size, device)


def torchvision_features(
    model_name: str, weights: str, layer: str, batch_size: int = 32, device: str = "cpu"
) -> ImageFeatures:
    """Return a function from images to what a layer of a torchvision network says, flattened.

    The literature's are `("alexnet", "features.4")` and `("alexnet", "features.11")`, AlexNet(2) and (5),
    `("inception_v3", "avgpool")` and `("efficientnet_b1", "avgpool")`; SwAV is `"resnet50"` with the file of
    its weights, and `"avgpool"`.

    Args:
        model_name: A name of torchvision.
        weights: A name of its weights such as `"IMAGENET1K_V1"`, downloaded if need be, or a file of a state
            dict (.safetensors, or of torch), which may hold more than the layers up to that one.
        layer: Name of a node of the network.
        batch_size: Images at a time.
        device: Where to compute.

    Raises:
        ImportError: If torchvision is not there.
        ValueError: If there is no such network, weights or layer, or the file is of another network.
    """
    try:
        from torchvision import models
        from torchvision.models.feature_extraction import create_feature_extractor
    except ImportError:
        raise ImportError(f"features of torchvision need torchvision: {_INSTALL}") from None
    if model_name not in models.list_models(models):
        raise ValueError(f"{model_name}: expected a network of torchvision such as alexnet or inception_v3")
    if not weights:
        raise ValueError(f"{model_name}: expected a name or a file of weights, got none: it would be random")
    known = models.get_model_weights(model_name)
    if Path(weights).is_file():
        model = models.get_model(model_name, weights=None, **_OPTIONS.get(model_name, {}))
    elif weights in known.__members__:
        model = models.get_model(model_name, weights=weights)
    else:
        raise ValueError(
            f"{model_name}: expected a file or one of {', '.join(known.__members__)}, got {weights!r}"
        )
    chosen = known[weights] if weights in known.__members__ else known.DEFAULT
    preprocess = chosen.transforms()
    try:
        network = create_feature_extractor(model.eval(), [layer])
    except ValueError as error:
        raise ValueError(f"{model_name}: no layer {layer!r} ({str(error).splitlines()[0]})") from None
    if Path(weights).is_file():
        _load_state(network, Path(weights), model_name)
    return _extractor(network, lambda batch: network(batch)[layer].flatten(1), preprocess, batch_size, device)


def _load_state(network: "torch.nn.Module", path: Path, model_name: str) -> None:
    """Load what the layers that are left of a network need; their file holds heads of its own too."""
    state = _read_state(path)
    state = {name.removeprefix("module."): value for name, value in state.get("state_dict", state).items()}
    wanted = {name: value.shape for name, value in network.state_dict().items() if value.ndim}
    wrong = [name for name, shape in wanted.items() if getattr(state.get(name), "shape", None) != shape]
    if wrong:
        raise ValueError(
            f"{path}: expected weights of {model_name}, {len(wrong)} of {len(wanted)} are not there or of "
            f"another shape, such as {wrong[0]}"
        )
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)


def _read_state(path: Path) -> "dict[str, Any]":
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)  # False would run what it says
    except Exception as error:  # each kind of damaged file has its own
        raise ValueError(f"{path}: expected a state dict ({str(error).splitlines()[0]})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a state dict, got a {type(found).__name__}")
    return found


def _extractor(
    model: "torch.nn.Module",
    embed: "Callable[[torch.Tensor], torch.Tensor]",
    preprocess: Callable[[Any], "torch.Tensor"],
    batch_size: int,
    device: str,
) -> ImageFeatures:
    import torch
    from PIL import Image

    model.to(device)

    @torch.inference_mode()
    def extract(images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), batch_size):
            batch = [preprocess(Image.fromarray(image)) for image in images[start : start + batch_size]]
            parts.append(embed(torch.stack(batch).to(device)).float().cpu().numpy())
        return np.concatenate(parts)

    return extract

# SPDX-License-Identifier: Apache-2.0
"""Encoding and decoding beside PCA of the same bit rate, the quantizer beside vector-quantize-pytorch's."""

from importlib.metadata import version

import torch

from benchmark_parts.timing import DEVICE, STEPS, BenchmarkArguments, Row, Work, race, repeat
from eeg_hf import EEGFSQConfig, EEGFSQModel
from eeg_hf.evaluation.codec_baselines import PCACodec
from eeg_hf.processing.channels import STANDARD_19

PATCH_SIZE = 256
PATCHES_PER_WINDOW = 8  # 10.24 s at 200 Hz
RATE_HZ = 200


def measure_codec(args: BenchmarkArguments) -> list[Row]:
    """Time each architecture at a low and a high bit rate, then the quantizer alone."""
    num_windows = max(args.batch_size, 512 if DEVICE == "cuda" else 1)  # enough to keep a GPU busy
    eeg = torch.randn(num_windows, len(STANDARD_19), PATCHES_PER_WINDOW * PATCH_SIZE)
    rows = []
    for codes_per_patch in (1, 16):
        config = EEGFSQConfig(patch_size=PATCH_SIZE, codes_per_patch=codes_per_patch)
        peer = code_with_pca(eeg, config, num_fitted=512 if args.quick else 2048)
        for architecture in ("mlp", "conv"):
            ours = code_with_ours(eeg, EEGFSQConfig(**{**config.to_dict(), "architecture": architecture}))
            timing = race(ours, peer, args.pairs)
            codes = f"{codes_per_patch} code{'s' * (codes_per_patch > 1)} a patch"
            name = (
                f"encode + decode {architecture}, {codes}, {config.bits_per_second():.0f} bits/s of a channel"
            )
            hours = num_windows * PATCHES_PER_WINDOW * PATCH_SIZE / RATE_HZ / 3600
            peer_name = "PCA of as many bits, numpy on the CPU"
            aim = "≥ 0.6" if (architecture, codes_per_patch) == ("mlp", 16) else ""
            rows.append(timing.row(name, hours, "h of 19 channels/s", peer_name, aim))
    return [*rows, race_quantizers(args)]


def code_with_ours(eeg: torch.Tensor, config: EEGFSQConfig) -> Work:
    """Return a function that encodes and decodes windows, from and to CPU memory."""
    codec = EEGFSQModel(config).eval().to(DEVICE)

    @torch.no_grad()
    def code() -> torch.Tensor:
        return codec.decode(codec.encode(eeg.to(DEVICE)).indices).cpu()

    return code


def code_with_pca(eeg: torch.Tensor, config: EEGFSQConfig, num_fitted: int) -> Work:
    """Return a function that encodes and decodes the windows with principal components."""
    patches = eeg.view(-1, config.patch_size).numpy()
    training = torch.randn(num_fitted, config.patch_size).numpy().cumsum(axis=1)
    codec = PCACodec().fit(training, config.bits_per_code * config.codes_per_patch)
    return lambda: codec.decode(codec.encode(patches))


def race_quantizers(args: BenchmarkArguments) -> Row:
    """Quantize latents to codes and indices."""
    codec = EEGFSQModel(EEGFSQConfig()).to(DEVICE)
    latents = torch.randn(64, 1024, codec.config.code_dim, device=DEVICE)

    ours = repeat(torch.no_grad()(lambda: codec.quantizer.codes_to_indices(codec.quantizer(latents))))
    peer, peer_name = None, "absent, no vector-quantize-pytorch"
    try:
        from vector_quantize_pytorch import FSQ

        quantizer = FSQ(list(codec.config.levels)).to(DEVICE)
        peer = repeat(torch.no_grad()(lambda: quantizer(latents)))
        peer_name = f"vector-quantize-pytorch {version('vector-quantize-pytorch')} FSQ"
    except ImportError:
        pass
    amount = STEPS * latents[..., 0].numel() / 1e6
    return race(ours, peer, args.pairs).row(
        "quantize to codes and indices", amount, "million codes/s", peer_name
    )

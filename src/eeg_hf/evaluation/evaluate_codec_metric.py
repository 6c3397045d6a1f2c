# SPDX-License-Identifier: Apache-2.0
"""Codec metrics for the evaluate library; `evaluate.load("<path of this file>")` works offline.

A separate file for the reasons given in `evaluate_metric`.
"""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from .codec_metrics import ReconstructionMetrics, codebook_metrics, rate_metrics


class EEGCodecMetrics(evaluate.Metric):
    """The metrics of [`reconstruction_metrics`], [`codebook_metrics`] and [`rate_metrics`], without network.

    There are no masks: remove padding first. Windows may differ in length and number of channels.

    Example:
        >>> metric = EEGCodecMetrics()
        >>> metric.compute(
        ...     references=[[0.0, 1.0, 0.0, -1.0]], predictions=[[0.0, 0.5, 0.0, -0.5]], sampling_rate=200
        ... )["nrmse_std"]
        0.5
    """

    def _info(self) -> evaluate.MetricInfo:
        samples = datasets.List(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description="Error, SNR, PSNR, SSIM, correlation, band errors, codebook use, rate of EEG codecs.",
            citation="",
            inputs_description=(
                "predictions: reconstructions (windows, channels, time) or (windows, time); references: the "
                "originals; sampling_rate: Hz. Optional: indices and codebook_size, for the codebook's use; "
                "bits_per_second and side_bits_per_second, of one channel, for the rate."
            ),
            features=[
                datasets.Features({"predictions": windows, "references": windows})
                for windows in (datasets.List(samples), samples)
            ],
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[Sequence[float]]] | Sequence[Sequence[float]],
        references: Sequence[Sequence[Sequence[float]]] | Sequence[Sequence[float]],
        sampling_rate: float | None = None,
        indices: Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None,
        codebook_size: int | None = None,
        bits_per_second: float | None = None,
        side_bits_per_second: float = 0.0,
    ) -> dict[str, float]:
        if sampling_rate is None:
            raise ValueError("sampling_rate: expected the rate of the samples in Hz, got None")
        if (indices is None) != (codebook_size is None):
            raise ValueError("indices and codebook_size: expected both or neither, got one of them")
        metrics = ReconstructionMetrics()
        for original, reconstruction in zip(references, predictions, strict=True):
            metrics.update(np.asarray([original]), np.asarray([reconstruction]), sampling_rate)
        results = metrics.compute()
        if indices is not None and codebook_size is not None:
            results |= codebook_metrics(indices, codebook_size)
        if bits_per_second is not None:
            results |= rate_metrics(bits_per_second, sampling_rate, side_bits_per_second)
        return results

# SPDX-License-Identifier: Apache-2.0
"""Judging models: metrics, baselines, pictures and the report that holds them together.

Names load their module on first use, so that who draws a picture does not wait for scikit-learn, evaluate,
pyriemann or braindecode.
"""

from importlib import import_module
from typing import Any

_PUBLIC_NAMES = {
    "EEGClassificationMetrics": "evaluate_metric",
    "MetricSummary": "metrics",
    "aggregate_folds": "metrics",
    "bootstrap_interval": "metric_intervals",
    "chance_level": "metrics",
    "classification_metrics": "metrics",
    "make_compute_metrics": "metrics",
    "regression_metrics": "metrics",
    "FoldScores": "fold_scores",
    "MethodRuns": "methods",
    "compare_methods": "methods",
    "Predictions": "predictions",
    "summarize_predictions": "fold_scores",
    "EEGCodecMetrics": "evaluate_codec_metric",
    "ReconstructionMetrics": "codec_metrics",
    "codebook_metrics": "codec_metrics",
    "rate_metrics": "codec_metrics",
    "reconstruction_metrics": "codec_metrics",
    "CodecRow": "codec_report",
    "PCACodec": "codec_baselines",
    "codecs_table": "codec_report",
    "flac_bits_per_sample": "codec_baselines",
    "plot_rate_distortion": "codec_plots",
    "write_codec_report": "codec_report",
    "WienerInfilling": "infilling",
    "hidden_scores": "infilling",
    "interpolate_linearly": "infilling",
    "level_differences": "infilling",
    "PairedDifference": "by_subject",
    "paired_difference": "by_subject",
    "subject_interval": "by_subject",
    "PUBLISHED_SCORES": "eeg2025",
    "PUBLISHED_SOURCE": "eeg2025",
    "ChallengeResult": "eeg2025",
    "band_power_regressor": "regression_baselines",
    "tangent_space_regressor": "regression_baselines",
    "challenge_metrics": "eeg2025",
    "challenge_score": "eeg2025",
    "challenge_table": "eeg2025",
    "leak_warning": "eeg2025",
    "CorrelatedComponents": "isc",
    "EEGInterSubjectCorrelation": "evaluate_isc_metric",
    "ISCTest": "isc",
    "cross_validated_isc": "isc",
    "isc_null": "isc",
    "alignment": "embedding_metrics",
    "matching_accuracy": "embedding_metrics",
    "positive_pairs": "embedding_metrics",
    "uniformity": "embedding_metrics",
    "NetworkClassifier": "baselines",
    "band_power_classifier": "baselines",
    "braindecode_classifier": "baselines",
    "eegnet": "baselines",
    "recentre_bands": "baselines",
    "tangent_space_classifier": "baselines",
    "WelchTangentSpace": "welch_tangent_space",
    "judge_reconstructions": "image_metrics",
    "open_clip_features": "image_features",
    "pixel_correlation": "image_metrics",
    "plot_contact_sheet": "contact_sheet",
    "structural_similarity": "image_metrics",
    "torchvision_features": "image_features",
    "two_way_identification": "image_metrics",
    "linear_probe": "probes",
    "probe_chance": "probes",
    "plot_probe_curve": "probe_plot",
    "plot_confusion_matrix": "plots",
    "plot_reconstruction": "plots",
    "plot_results": "plots",
    "EEGImageEmbeddings": "embeddings_file",
    "Rankings": "retrieval",
    "RetrievalScore": "retrieval",
    "judge_retrieval": "retrieval_report",
    "rank_items": "retrieval",
    "retrieval_table": "retrieval_report",
    "score_rankings": "retrieval",
    "plot_training_curves": "plots",
    "ResultRow": "report",
    "collect_provenance": "provenance",
    "read_report": "report",
    "results_table": "report",
    "write_json": "report",
    "write_report": "report",
}

__all__ = list(_PUBLIC_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

# SPDX-License-Identifier: Apache-2.0
"""Constants of the normalisation of windows, which torch and numpy share."""

# Sorting dominates robust normalisation, so quantiles use at most this many evenly spaced samples. On EEGMAT
# this changes the interquartile range of a 10-s window by 1 % and of a 50-s window by 2 %; it differs by 11 %
# between consecutive 10-s windows
MAX_QUANTILE_SAMPLES = 1024
IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution of standard deviation 1."""
SMALLEST_SCALE = 1e-6
"""A channel with a smaller scale is constant except for rounding."""
MICROVOLT_SCALE = 100.0
"""`normalization="microvolt"` divides by this many uV, so that EEG is of order one."""

__all__ = ["IQR_OF_NORMAL", "MAX_QUANTILE_SAMPLES", "MICROVOLT_SCALE", "SMALLEST_SCALE"]

# SPDX-License-Identifier: Apache-2.0
"""The EEG2025 challenge: scores of two regressors, and the files of a submission."""

# SPDX-License-Identifier: Apache-2.0
"""Training on transformers' Trainer: what it lacks for EEG, and nothing it has."""

# SPDX-License-Identifier: Apache-2.0
"""Predictions of a trained model for new recordings."""

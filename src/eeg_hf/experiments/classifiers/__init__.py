# SPDX-License-Identifier: Apache-2.0
"""Classifiers: fine-tuned on one corpus, and compared with baselines."""

# SPDX-License-Identifier: Apache-2.0
"""Training in phases: one recipe from pretraining to fine-tuning."""

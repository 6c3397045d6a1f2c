# SPDX-License-Identifier: Apache-2.0
"""From windows to batches: datasets of windows, collators, augmentation."""

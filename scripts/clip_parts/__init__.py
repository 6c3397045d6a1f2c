# SPDX-License-Identifier: Apache-2.0
"""Parts of scripts/train_clip.py."""

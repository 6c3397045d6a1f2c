# SPDX-License-Identifier: Apache-2.0
"""What composes data, models, training and evaluation into one run."""

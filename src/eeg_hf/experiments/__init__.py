# SPDX-License-Identifier: Apache-2.0
"""The work of the commands: each composes data, models, training and evaluation into one run."""

# SPDX-License-Identifier: Apache-2.0
"""What second-order models are worth: regimes of calibration, few labels, and each part left out."""

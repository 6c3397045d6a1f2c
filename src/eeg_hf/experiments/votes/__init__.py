# SPDX-License-Identifier: Apache-2.0
"""Ensembles that predict the votes of experts."""

# SPDX-License-Identifier: Apache-2.0
"""Why a classifier answered as it did: attributions by channel, time and band, and their checks."""

from .explaining import explain
from .explanation import Explanation
from .faithfulness import Faithfulness, compare_with_random_weights, measure_faithfulness
from .pair_contributions import PairContributions, explain_pairs

__all__ = [
    "Explanation",
    "Faithfulness",
    "PairContributions",
    "compare_with_random_weights",
    "explain",
    "explain_pairs",
    "measure_faithfulness",
]

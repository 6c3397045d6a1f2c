# SPDX-License-Identifier: Apache-2.0
"""The Hub: versions of models with their code, cards and metrics, and prepared corpora."""

from .card_facts import CardFacts, ComputeFacts, CorpusFacts, ResultFacts
from .code import save_with_code
from .errors import HubError
from .eval_results import eval_result_entries
from .model_card import model_card
from .published_weights import PublishedModel, WeightReport, load_published
from .pull import pull, versions
from .push import Pushed, push, push_folder
from .registry import Comparison, LocalRegistry
from .run_facts import corpus_facts, facts_from_run

__all__ = [
    "CardFacts",
    "Comparison",
    "ComputeFacts",
    "CorpusFacts",
    "HubError",
    "LocalRegistry",
    "PublishedModel",
    "Pushed",
    "ResultFacts",
    "WeightReport",
    "corpus_facts",
    "eval_result_entries",
    "facts_from_run",
    "load_published",
    "model_card",
    "pull",
    "push",
    "push_folder",
    "save_with_code",
    "versions",
]

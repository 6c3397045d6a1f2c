# SPDX-License-Identifier: Apache-2.0
"""The Hub: versions of models with their code, cards and metrics, and prepared corpora."""

from .code import save_with_code
from .errors import HubError
from .pull import pull, versions
from .push import Pushed, push, push_folder

__all__ = ["HubError", "Pushed", "pull", "push", "push_folder", "save_with_code", "versions"]

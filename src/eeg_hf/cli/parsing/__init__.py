# SPDX-License-Identifier: Apache-2.0
"""From the words of a command line to the settings of a command; torch is imported as late as possible."""

from .command import Command
from .recipe_files import RECIPES

__all__ = ["RECIPES", "Command"]

# SPDX-License-Identifier: Apache-2.0
"""Command lines, recipes and overrides, read into the arguments of a command. Imports torch only to run."""

from .command import Command
from .recipe_files import RECIPES

__all__ = ["RECIPES", "Command"]

# SPDX-License-Identifier: Apache-2.0
"""One verb of `eeg-hf`: what it is called, which settings it takes, and what runs."""

import importlib
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from .help_text import format_help
from .settings import collect, expand, sort_words

if typing.TYPE_CHECKING:
    from .parser import Given

# Packages that only an extra of ours installs, by the name they are imported under
EXTRAS = {
    "open_clip": "clip",
    "torchvision": "clip",
    "skimage": "images",
    "diffusers": "diffusion",
    "pyriemann": "baselines",
    "braindecode": "baselines",
    "soundfile": "baselines",
    "openpyxl": "formats",
    "mffpy": "formats",
    "antio": "formats",
    "pymatreader": "formats",
    "pyxdf": "formats",
    "xlrd": "sleep",
    "moabb": "moabb",
    "optuna": "sweep",
    "ray": "ray",
}


@dataclass(frozen=True)
class Command:
    """A verb of the command line.

    Args:
        name: As it is typed: `train-tokenizer`.
        description: Docstring of its module: a summary, examples, and what else to know.
        run: Does the work: takes one instance of each of `arguments`, and TrainingArguments where
        `trains`. Or
            the module of eeg_hf.experiments that has it, imported last, so that --help does not
            wait for torch.
        arguments: Dataclasses whose fields are its options. `metadata` of a field may hold `help`,
        `formerly` (old
            spellings) and `block` (a mapping of settings, which overrides are merged into).
        trains: Whether it takes every option of transformers.TrainingArguments too.
        default_recipe: Recipe to take where none is named.
        positional: Setting that words without a name are values of; by default they name a recipe.
        program: What the name is typed after.
        former: Old spellings of options that the dataclasses do not declare, by what they are called now.
    """

    name: str
    description: str
    run: str | Callable[..., None]
    arguments: tuple[type, ...] = ()
    trains: bool = False
    default_recipe: str | None = None
    positional: str | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    program: str = "eeg-hf"

    def __call__(self, words: Sequence[str] | None = None) -> None:
        """Parse the words and run; what the user can mend ends with one line and exit code 2.

        Args:
            words: The command line without the program and the verb; that of this process by default.
        """
        words = list(sys.argv[1:] if words is None else words)
        if "-h" in words or "--help" in words:
            sys.stdout.write(format_help(self.name, self.description, self.arguments, self.trains))
            return
        try:
            self._run(words)
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            self.fail(message)

    def fail(self, message: str) -> NoReturn:
        """End with one line and exit code 2."""
        sys.stderr.write(f"{self.program} {self.name}: {' '.join(message.split())}\n")
        sys.exit(2)

    def _run(self, words: list[str]) -> None:
        from .parser import CommandParser  # with transformers, and so torch: seconds that --help does without

        parser = CommandParser(self)
        if "--help-all" in words:
            sys.stdout.write(parser.format_help())
            return
        given = parser.read_options(words)
        recipe, overrides = self._sort(given)
        if given.multirun:
            from .multirun import run_jobs

            run_jobs(self.name, recipe, expand(overrides), given.options)
            return
        settings = collect(recipe, overrides, given.options, parser.settings, self.name)
        if given.shows_settings:
            sys.stdout.write(parser.show(settings))
            return
        run = self.run
        if isinstance(run, str):
            run = importlib.import_module(f"...experiments.{run}", __package__).run
        run(*parser.build(settings))

    def _sort(self, given: "Given") -> tuple[str | None, list[tuple[str, str]]]:
        """Return recipe and overrides; words without a name may be values of the positional setting."""
        words = sort_words(given.words)
        names = [*words.names, *([given.config_name] if given.config_name not in (None, "config") else [])]
        if self.positional is not None and names:
            given.options[self.positional] = [*given.options.get(self.positional, []), *names]
            names = []
        if len(names) > 1:
            raise ValueError(
                f"expected one recipe, got {len(names)}: {', '.join(names)}; options start with --"
            )
        return (names[0] if names else self.default_recipe), words.overrides


def explain(error: Exception) -> str | None:
    """Return what to tell the user of an error they can mend; None for a fault of the program."""
    from huggingface_hub.errors import StrictDataclassError  # a mistyped field of a config

    if "operator torchvision::" in str(error.__cause__):  # its compiled library could not be loaded
        return (
            "torchvision does not fit torch: pip install --force-reinstall torch torchvision torchaudio, all "
            "from PyPI, or all with --index-url https://download.pytorch.org/whl/cpu"
        )
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return (
            f'{package} is not installed: pip install "eeg-hf[{EXTRAS[package]}]"'
            if package in EXTRAS
            else None
        )
    if isinstance(error, PermissionError) and error.filename:
        return f"no permission to use {error.filename}: choose another place, such as --output_dir runs/mine"
    if not isinstance(error, (ValueError, OSError, ImportError, StrictDataclassError)):
        return None
    text = str(error)
    if "\nOriginal Traceback" in text:  # from a worker of a DataLoader: its last line is the error
        text = text.strip().rpartition("\n")[2].partition(": ")[2]
    return text or type(error).__name__


__all__ = ["Command"]

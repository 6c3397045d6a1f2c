# SPDX-License-Identifier: Apache-2.0
"""One verb of `eeg-hf`: its name, its arguments and the function that it runs."""

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ...folder_lock import locked_folder
from ...legible_text import legible
from .help_text import format_help

# Packages that only an extra installs, by import name
EXTRAS = {
    "open_clip": "clip",
    "torchvision": "clip",
    "skimage": "images",
    "diffusers": "diffusion",
    "braindecode": "baselines",
    "spd_learn": "baselines",
    "soundfile": "baselines",
    "openpyxl": "formats",
    "mffpy": "formats",
    "antio": "formats",
    "pymatreader": "formats",
    "pyxdf": "formats",
    "xlrd": "sleep",
    "moabb": "moabb",
    "optuna": "sweep",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "openvino": "export",
    "pylsl": "stream",
    "brainflow": "stream",
    "websockets": "stream",
    "ray": "ray",
    "captum": "explain",
    "gradio": "demo",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "multipart": "serve",
    "peft": "peft",
    "flwr": "federated",
}


@dataclass(frozen=True)
class Command:
    """A verb of the command line.

    Args:
        name: The verb as it is typed, such as `train-tokenizer`.
        description: Docstring of the module of the verb: a summary, examples and remarks.
        run: Function that takes one instance of each of `arguments`, then TrainingArguments if `trains`. Or
            the name of the module in `eeg_hf.experiments` with such a function `run`; it is imported last,
            so that `--help` does not import torch.
        arguments: Dataclasses whose fields are the options. The `metadata` of a field may hold `help`,
            `formerly` (old spellings) and `block` (whether the setting is a mapping that overrides are
            merged into).
        trains: Whether the command also takes every option of transformers.TrainingArguments.
        default_recipe: Recipe whose settings every run starts from.
        positional: Setting that takes the words without a name; by default such a word names a recipe.
        former: Old spelling of a setting -> its current name, for settings of TrainingArguments.
        adapt: Changes the merged settings before the dataclasses are built from them.
        find_idle: Returns the settings that would change nothing beside the others, each with the reason. One
            that was typed is refused; a recipe may hold it, for those who override the rest.
        program: Name before the verb.
    """

    name: str
    description: str
    run: str | Callable[..., None]
    arguments: tuple[type, ...] = ()
    trains: bool = False
    default_recipe: str | None = None
    positional: str | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    adapt: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    find_idle: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    program: str = "eeg-hf"

    def __call__(self, words: Sequence[str] | None = None) -> None:
        """Parse a command line and run it. Errors that users can fix end with one line and exit code 2.

        Args:
            words: The command line without program and verb; default: that of this process.
        """
        words = list(sys.argv[1:] if words is None else words)
        if "-h" in words or "--help" in words:
            sys.stdout.write(format_help(self.name, self.description, self.arguments, self.trains))
            return
        with self.errors_in_one_line():
            self._run(words)

    def _run(self, words: list[str]) -> None:
        from .parser import CommandParser  # imports transformers and torch, which --help does not need

        parser = CommandParser(self)
        if "--help-all" in words:
            sys.stdout.write(parser.format_help())
            return
        request = parser.read(words)
        if request.multirun:
            from .multirun import run_jobs

            run_jobs(self, request.jobs)
        elif request.shows_settings:
            sys.stdout.write(parser.show(request.settings))
        else:
            self.execute(request.settings)

    def execute(self, settings: dict[str, Any]) -> None:
        """Run the command with merged settings."""
        from .parser import CommandParser

        with self.errors_in_one_line():
            settings = self.adapt(settings) if self.adapt is not None else settings
            arguments = CommandParser(self).build(settings)
            for block in arguments:
                refuse_unwritable(getattr(block, "output_dir", None))
            run = self.run
            if isinstance(run, str):
                run = importlib.import_module(f"...experiments.{run}", __package__).run
            with contextlib.ExitStack() as locks:
                for folder in self._folders(arguments):
                    locks.enter_context(locked_folder(folder, f"{self.program} {self.name}"))
                run(*arguments)

    def _folders(self, arguments: Sequence[Any]) -> set[str]:
        """Return the folders that the command writes; of several launched processes, the first holds them."""
        if self.name == "prepare" or int(os.environ.get("RANK", 0)):  # parts of a corpus share a folder
            return set()
        return {str(each.output_dir) for each in arguments if getattr(each, "output_dir", None)}

    @contextlib.contextmanager
    def errors_in_one_line(self) -> Iterator[None]:
        """End the process with one line where the block raises an error that users can fix."""
        try:
            yield
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            self.fail(message)

    def fail(self, message: str) -> NoReturn:
        """Write one line and end with exit code 2."""
        sys.stderr.write(f"{self.program} {self.name}: {legible(' '.join(message.split()))}\n")
        sys.exit(2)


def refuse_unwritable(folder: str | None) -> None:
    """Raise an OSError if a folder cannot be made or written to: now, not after hours of work."""
    if not folder or "://" in folder:
        return
    path = Path(folder).absolute()
    place = next(each for each in (path, *path.parents) if each.exists())
    if not place.is_dir():
        raise NotADirectoryError(f"output_dir: {place} is a file, expected a folder: choose another place")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(
            f"output_dir: no permission to write to {place}: choose another place, such as ~/mine"
        )


def explain(error: Exception) -> str | None:
    """Return the message about an error that users can fix, or None for a fault of the program."""
    from huggingface_hub.errors import StrictDataclassError  # a mistyped field of a config

    if "operator torchvision::" in str(error.__cause__):  # its compiled library could not be loaded
        return (
            "torchvision does not fit torch: pip install --force-reinstall torch torchvision torchaudio, all "
            "from PyPI, or all with --index-url https://download.pytorch.org/whl/cpu"
        )
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        return f'{package} is not installed: pip install "eeg-hf[{extra}]"' if extra else None
    if str(error).startswith("Repo id must"):  # transformers hands on what huggingface_hub says of a path
        name = str(error).rpartition(": '")[2].partition("'")[0]
        return (
            f"{name} is neither a folder nor the name of a repository on the Hub, such as organisation/name"
        )
    if isinstance(error, RuntimeError) and re.search(r"Callback requires .* to be installed", str(error)):
        return f"report_to: {error} Or use --report_to none"  # which transformers raises
    if isinstance(error, PermissionError) and error.filename:
        return (
            f"no permission to use {error.filename}: choose another place, such as --output_dir ~/runs/mine"
        )
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"  # without the number
    if not isinstance(error, (ValueError, OSError, ImportError, StrictDataclassError)):
        return None
    text = str(error)
    if isinstance(error, StrictDataclassError):
        return explain_field(text)
    if "\nOriginal Traceback" in text:  # from a DataLoader worker: the last line is the error
        text = text.strip().rpartition("\n")[2].partition(": ")[2]
    return text or type(error).__name__


def explain_field(text: str) -> str:
    """Return what huggingface_hub says of a mistyped field of a config, in the words of our other errors."""
    union = re.search(r"Field '(\w+)' with value (.*) doesn't match any type in \((.*?)\)\. Errors: ", text)
    if union is not None:
        kinds = re.sub(r"<class '(\w+)'>", r"\1", union[3]).replace("NoneType", "null")
        return f"config: {union[1]}: expected one of {kinds}, got {union[2]}"
    plain = re.search(r"Field '(\w+)' expected (.*), got \w+ \(value: (.*)\)", text)
    if plain is not None:
        return f"config: {plain[1]}: expected {plain[2]}, got {plain[3]}"
    return text.partition("Error: ")[2] or text  # of a check of our own


__all__ = ["Command"]

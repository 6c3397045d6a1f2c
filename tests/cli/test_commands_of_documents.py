# SPDX-License-Identifier: Apache-2.0
"""Every command in the docstrings of the verbs, in the documents and in the recipes is one that works."""

import ast
import importlib
import re
import shlex

import pytest

from eeg_hf.cli.main import FORMER, VERBS, main
from eeg_hf.cli.parsing.parser import CommandParser
from eeg_hf.cli.parsing.recipe_files import RECIPES
from tests.conftest import ROOT

WITHOUT_PARSER = ("recipes", "completion")
VARIABLES = {"k": "1", "s": "1"}  # `--fold k` in a document
KNOWN = [verb for verbs in VERBS.values() for verb in verbs]
MODULES = {verb: ROOT / f"src/eeg_hf/cli/{verb.replace('-', '_')}.py" for verb in KNOWN}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "src/eeg_hf/cli/main.py")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "model_cards").glob("*.md")),
    *sorted(path for path in RECIPES.rglob("*") if path.suffix in (".yaml", ".sbatch")),
]


def read_text(path):
    """Return the text of a document: a docstring, the comments of a recipe, or the whole file."""
    text = path.read_text()
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text), clean=False)
    if path.suffix in (".yaml", ".sbatch"):
        return "\n".join(line.removeprefix("#") for line in text.splitlines() if line.startswith("#"))
    return text


def find_commands(text):
    """Yield the verb and the words of each command, and whether it is shown whole: on a line of its own."""
    in_block, started = False, ""
    for line in text.replace("\\\n", " ").splitlines():
        in_block ^= line.startswith("```")
        if started or in_block or line.startswith(("    ", "\t", "$")):
            started = f"{started} {line}" if started else line
            try:
                yield from ((*found, True) for found in split_commands(started))
            except ValueError:  # a quotation that the next line closes
                continue
            started = ""
        else:
            for span in re.findall(r"`([^`]+)`", line):
                span = re.sub(r"<\w+>", "x", re.sub(r" \w+_<\w+>", "", span))  # recipe_<name>, <value>
                yield from ((*found, False) for found in split_commands(span))
    assert not started, started


def split_commands(line):
    """Yield the verb and the words of each command of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = [*lexer] if re.search(r"\beeg-hf |eeg_hf\.cli\.", line) else []
    for index, word in enumerate(words):
        module = re.fullmatch(r"eeg_hf\.cli\.(\w+)", word)
        start = index + 1 if module else index + 2
        if not module and (word != "eeg-hf" or index + 1 == len(words)):
            continue
        end = next((i for i in range(start, len(words)) if set(words[i]) <= set(";|&<>()")), len(words))
        verb = module[1].replace("_", "-") if module else words[index + 1]
        yield verb, [VARIABLES.get(word, re.sub(r"\$\w+", "1", word)) for word in words[start:end]]


def check(verb, words, is_whole):
    """Read a command up to its settings, as its parser does before it runs."""
    if verb == "VERB" or verb.startswith("-"):
        return
    verb = FORMER.get(verb, verb)
    assert verb in KNOWN
    if "--help" in words or verb in WITHOUT_PARSER:
        main([verb, *words])
        return
    words = [word for word in words if word not in ("…", "...")]
    try:
        CommandParser(importlib.import_module(f"eeg_hf.cli.{verb.replace('-', '_')}").COMMAND).read(words)
    except ValueError as error:
        if is_whole or "is required" not in str(error):
            raise


def check_all(commands, capsys):
    for verb, words, is_whole in commands:
        try:
            check(verb, words, is_whole)
        except (SystemExit, ValueError, OSError, AssertionError) as error:
            pytest.fail(f"eeg-hf {verb} {shlex.join(words)}: {capsys.readouterr().err or error}")
        shown = capsys.readouterr().err
        assert not shown, f"{shlex.join(words)}: {shown}"  # a former spelling


@pytest.mark.parametrize("verb", MODULES)
def test_a_verb_begins_with_commands_that_it_accepts(verb, capsys):
    commands = [*find_commands(read_text(MODULES[verb]))]
    least = 1 if verb == "selftest" else 2  # it takes no option
    assert len([words for name, words, is_whole in commands if name == verb and is_whole]) >= least
    check_all(commands, capsys)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_the_documents_are_accepted(path, capsys):
    check_all(find_commands(read_text(path)), capsys)


def test_commands_are_found_and_wrong_ones_refused(capsys):
    text = "```\nfor k in 0 1; do eeg-hf pretrain pretrain_tiny --fold $k --data a; done  # x\n```\n"
    text += "See `eeg-hf push`."
    assert [*find_commands(text)] == [
        ("pretrain", ["pretrain_tiny", "--fold", "1", "--data", "a"], True),
        ("push", [], False),
    ]
    text = "    accelerate launch --num_processes 2 -m eeg_hf.cli.train_clip \\\n        clip_things > log"
    assert [*find_commands(text)] == [("train-clip", ["clip_things"], True)]
    for wrong in ("pretrain pretrain_tinny", "pretrain --dat a", "prepare --corpus eegmat", "pretrane"):
        with pytest.raises(pytest.fail.Exception):
            check_all(find_commands(f"    eeg-hf {wrong}"), capsys)
    with pytest.raises(AssertionError, match="--model_name_or_path is now --model"):
        check_all(find_commands("    eeg-hf pretrain --data a --model_name_or_path b"), capsys)

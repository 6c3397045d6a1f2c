# SPDX-License-Identifier: Apache-2.0
"""From the words of a command line to the settings of a command."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from huggingface_hub.errors import StrictDataclassError

from eeg_hf import EEGFoundationConfig
from eeg_hf.cli import main as dispatcher
from eeg_hf.cli.parsing import Command
from eeg_hf.cli.parsing.command import explain
from eeg_hf.cli.parsing.recipe_files import list_recipes, load_yaml, merge, read_recipe
from eeg_hf.cli.parsing.settings import expand, translate
from tests.commands import fail_command


@dataclass
class Options:
    """What to train, on what."""

    data: list[str] = field(metadata={"help": "Corpora.", "formerly": ["corpora"]})
    subject: str | None = field(default=None, metadata={"help": "One subject."})
    rate: float = field(default=1.0, metadata={"help": "In Hz."})
    augment: bool = field(default=False, metadata={"help": "Whether to augment."})
    config: dict[str, Any] = field(default_factory=dict, metadata={"help": "Fields.", "block": True})
    mixture: dict[str, Any] = field(default_factory=dict, metadata={"help": "Weights."})
    engine: Literal["local", "ray"] = field(default="local", metadata={"help": "What computes."})
    phases: list[dict] = field(default_factory=list, metadata={"help": "Blocks."})


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Return a function that parses words, after the text of a recipe, and returns the dataclasses."""
    monkeypatch.chdir(tmp_path)

    def call(*words, recipe=None, trains=False):
        if recipe is not None:
            (tmp_path / "recipe.yaml").write_text(recipe)
            words = ("recipe.yaml", *words)
        got = []
        Command("try", "Try.", lambda *parts: got.extend(parts), (Options,), trains=trains)(list(words))
        return got if trains else got[0]

    return call


def test_later_settings_win_and_blocks_are_merged(parse):
    recipe = "data: [a]\nrate: 1e-3\nconfig: {mask: 0.3, size: 8, layers: {first: 1, last: 2}}\n"
    got = parse(
        "config.mask=0.5", "config.layers.last=3", "--config", '{"size": 16}', "--rate", "2", recipe=recipe
    )
    assert got.config == {"mask": 0.5, "size": 16, "layers": {"first": 1, "last": 3}}
    assert (got.data, got.rate) == (["a"], 2.0)
    assert parse(recipe=recipe).rate == 1e-3


def test_a_mapping_of_data_is_replaced_as_a_whole_and_changed_by_a_dotted_override(parse):
    recipe = "data: a\nmixture: {x: 1, y: 2}\n"
    assert parse("--mixture", '{"z": 1}', recipe=recipe).mixture == {"z": 1}
    assert parse("mixture.y=5", recipe=recipe).mixture == {"x": 1, "y": 5}


def test_a_list_of_blocks_is_read_from_a_recipe_and_from_json(parse):
    blocks = [{"name": "one", "data": "a"}, {"name": "two", "data": {"b": 1}}]
    assert parse(recipe=f"data: a\nphases: {json.dumps(blocks)}").phases == blocks
    assert parse("--data", "a", "--phases", json.dumps(blocks)).phases == blocks
    assert parse("--data", "a", "--phases", *map(json.dumps, blocks)).phases == blocks


def test_text_stays_text(parse):
    assert parse("--data", "001", "--subject", "007").subject == "007"
    assert parse("data=[001,002]", "subject=010").data == ["001", "002"]
    got = parse(recipe="data: [001, 2e5x]\nsubject: 010\n")
    assert (got.data, got.subject) == (["001", "2e5x"], "010")
    assert parse("data=a", "subject=null").subject is None


def test_an_override_after_an_option_of_several_values_is_no_value(parse):
    got = parse("--data", "a", "b", "rate=3", "--augment", "config.x=1")
    assert (got.data, got.rate, got.augment, got.config) == (["a", "b"], 3.0, True, {"x": 1})
    assert parse("--data", "pretrained=runs/a", "rate=2").data == ["pretrained=runs/a"]


def test_the_names_of_the_seeds_are_understood(parse):
    words = ["--data", "a", "model.learning_rate=0.0005", "model.activation=snake", "trainer.max_epochs=7"]
    words += ["data.batch_size=64", "logger=null", "trainer.accelerator=auto", "--output_dir", "out"]
    options, training = parse(*words, trains=True)
    assert options.config == {"activation": "snake"}
    assert (training.learning_rate, training.num_train_epochs) == (5e-4, 7)
    assert training.per_device_train_batch_size == 64 and training.report_to == []
    assert translate("trainer.precision", "16-mixed") == ("fp16", "true")
    assert translate("trainer.precision", "32") is None


def test_training_arguments_take_blocks_and_dotted_names(parse):
    recipe = "data: a\noutput_dir: out\nlr_scheduler_type: cosine_with_min_lr\n"
    recipe += "lr_scheduler_kwargs: {min_lr: 1.0e-5}\n"
    _, training = parse(
        "training.learning_rate=1e-3", "lr_scheduler_kwargs.min_lr=1e-6", recipe=recipe, trains=True
    )
    assert training.learning_rate == 1e-3 and training.lr_scheduler_kwargs == {"min_lr": 1e-6}


def test_an_old_spelling_works_with_one_line(parse, capsys):
    assert parse("--corpora", "a").data == ["a"]
    assert capsys.readouterr().err == "eeg-hf try: --corpora is now --data\n"
    assert parse("corpora=[a]").data == ["a"]
    assert capsys.readouterr().err == "eeg-hf try: corpora is now data\n"
    assert parse(recipe="corpora: a").data == ["a"]
    assert capsys.readouterr().err == "eeg-hf try: corpora of recipe recipe.yaml is now data\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "recipe nowhere does not exist; `eeg-hf recipes` lists"),
        (["pretrain_tinny"], "did you mean 'pretrain_tiny'"),
        (["pretrain_tiny", "pretrain_small"], "expected one recipe, got 2: pretrain_tiny, pretrain_small"),
        (["pretrain_tiny"], "is for `eeg-hf pretrain`, not for `eeg-hf try`"),
        (["confg.mask=1"], "unknown block 'confg' in confg.mask=1, did you mean 'config'"),
        (["rat=1"], "unknown setting or group 'rat', did you mean 'rate'"),
        (["rate.x=1"], "rate is one value and has no field x"),
        (["experiment=snaky"], "snake_activation, got snaky"),
        (["--rte", "1"], "unknown option --rte, did you mean '--rate'"),
        (["--drop_bad_windows", "true"], "--reject_uv sets the amplitude above which"),
        (["--data", "a", "--rate", "fast"], "invalid float value: 'fast'"),
        (["--data", "a", "--config", "[1]"], "expected fields and values (JSON), got '[1]'"),
        (["config=3"], "config: expected fields and values, such as config.name=value, got '3'"),
        (["--data", "a", "--engine", "fast"], "engine: expected one of local, ray, got 'fast'"),
        (["--data", "a", "engine=fast"], "engine: expected one of local, ray, got 'fast'"),
        (["--data", "a", "--phases", "[1]"], "expected a list of fields and values (JSON), got '[1]'"),
        ([], "expected --data, which is required"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(parse, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith("eeg-hf try: ") and message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rate=nan"], "learning_rate: expected 0 or more, got nan"),
        (["--learning_rate", "-1"], "learning_rate: expected 0 or more, got -1"),
        (["per_device_train_batch_size=0"], "per_device_train_batch_size: expected 1 or more, got 0"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps: expected 1 or more, got 0"),
        (["--num_train_epochs", "inf"], "num_train_epochs: expected 0 or more, got inf"),
        (["--max_steps", "0"], "max_steps: expected 1 or more, or -1 to train for num_train_epochs"),
    ],
)
def test_what_no_training_can_have_is_refused(parse, capsys, words, message):
    with pytest.raises(SystemExit):
        parse("--data", "a", "--output_dir", "out", *words, trains=True)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: here\nrat: 1", "unknown setting 'rat', did you mean 'rate'"),
        ("- data", "expected settings and values, got list"),
        ("data: [", "not YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ndata: [*b, *b]", "expected YAML without aliases"),
        ("data: ${oc.env:HOME}", r"expected YAML without ${...}: write the values out"),
        ("extends: recipe.yaml\ndata: a", "more than 5 recipes extend one another"),
        ("rate: fast\ndata: a", "invalid float value: 'fast'"),
        ("rate: {x: 1}\ndata: a", "rate: expected one value, got {'x': 1}"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_in_one_line(parse, capsys, text, message):
    with pytest.raises(SystemExit) as ended:
        parse(recipe=text)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and message in line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'moabb'", name="moabb.datasets"),
            'pip install "eeg-hf[moabb]"',
        ),
        (PermissionError(13, "denied", "/runs"), "no permission to use /runs: choose another place"),
        (OSError(28, "No space left on device", "/runs/x"), "/runs/x: No space left on device"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_an_error_the_user_can_mend_is_one_line_and_code_2(capsys, error, message):
    def run():
        raise error

    with pytest.raises(SystemExit) as ended:
        Command("try", "Try.", run)([])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and message in line


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask_ratio": "abc"}, "config: mask_ratio: expected one of float, int, got 'abc'"),
        ({"hidden_size": 12.5}, "config: hidden_size: expected int, got 12.5"),
        (
            {"scale_factors": ["a"]},
            "config: scale_factors: expected one of list[int], tuple[int, ...], got ['a']",
        ),
        ({"channel_names": 5}, "channel_names: expected one of list[str], tuple[str, ...], null, got 5"),
        ({"target": "x"}, "target: expected one of signal, codes, both, got 'x'"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_what_it_takes(fields, message):
    with pytest.raises((ValueError, StrictDataclassError)) as refused:
        EEGFoundationConfig(**fields)
    assert message in explain(refused.value)


@dataclass
class Results:
    output_dir: str


def write_to(folder, capsys):
    command = Command("try", "Try.", lambda settings: print("ran"), (Results,))
    with pytest.raises(SystemExit) as ended:
        command(["--output_dir", str(folder)])
    shown = capsys.readouterr()
    assert ended.value.code == 2 and "ran" not in shown.out
    return shown.err


def test_a_folder_that_takes_no_results_is_refused_before_anything_runs(tmp_path, capsys, monkeypatch):
    (tmp_path / "taken").touch()
    for folder in (tmp_path / "taken", tmp_path / "taken" / "runs"):
        assert f"{tmp_path / 'taken'} is a file, expected a folder" in write_to(folder, capsys)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # the superuser may write anywhere
    assert f"no permission to write to {tmp_path}:" in write_to(tmp_path / "new" / "runs", capsys)


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        Command("try", "Try.", lambda: 1 // 0)([])


def test_cfg_job_prints_what_would_run(parse, capsys):
    parse("--data", "a", "config.x=1", "--cfg", "job", trains=True)
    shown = load_yaml(capsys.readouterr().out)
    assert shown["config"] == {"x": 1} and shown["rate"] == 1.0 and "learning_rate" not in shown


def test_a_sweep_is_every_combination():
    jobs = expand([("a", "1,2"), ("b.levels", "[8,5],[3,'x,y']"), ("c", "z")])
    assert [dict(job)["a"] for job in jobs] == ["1", "1", "2", "2"]
    assert {dict(job)["b.levels"] for job in jobs} == {"[8,5]", "[3,'x,y']"}


def test_multirun_refuses_a_job_that_cannot_work_before_the_first(prepared, tmp_path):
    words = ["--multirun", "config.hidden_dims=[16],[8]", "--data", prepared, "--output_dir", tmp_path]
    assert "invalid int value: 'soon'" in fail_command("train-tokenizer", *words, "max_steps=1,soon")
    assert not list(tmp_path.iterdir())


def test_every_recipe_names_its_command_and_says_what_it_is(capsys):
    dispatcher.main(["recipes"])
    listed = capsys.readouterr().out
    verbs = {name for names in dispatcher.VERBS.values() for name in names}
    for name, path in list_recipes().items():
        assert read_recipe(path)["command"] in verbs, name
        (line,) = [line for line in listed.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3


def test_help_is_short_and_needs_no_torch():
    verbs = [name for names in dispatcher.VERBS.values() for name in names]
    code = (
        "import contextlib, io, json, sys\nfrom eeg_hf.cli.main import main\nshown = {}\n"
        f"for verb in {verbs}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as text:\n        main([verb, '--help'])\n"
        "    shown[verb] = text.getvalue()\n"
        "assert not {'torch', 'transformers', 'datasets', 'mne'} & set(sys.modules), 'slow'\n"
        "print(json.dumps(shown))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb, text in json.loads(done.stdout).items():
        lines = text.splitlines()
        assert len(lines) < 70 and lines[0].startswith(f"usage: eeg-hf {verb} "), verb
        assert max(map(len, lines)) <= 110, verb


def test_blocks_of_a_recipe_that_is_extended_are_merged():
    found = read_recipe(list_recipes()["tokenizer_snake"])
    assert found["config"]["activation"] == "snake" and found["config"]["levels"] == [8, 8, 8, 5, 5, 5]
    assert merge({"a": {"x": [1, 2]}}, {"a": {"x": [3]}}) == {"a": {"x": [3]}}


def test_an_unknown_command_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        dispatcher.main(["pretrane"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "eeg-hf: unknown command 'pretrane', did you mean 'pretrain'?\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_recipes_and_options(shell, capsys):
    dispatcher.main(["completion", shell])
    script = capsys.readouterr().out
    assert all(word in script for word in ("train-tokenizer", "pretrain_tiny", "--label_column"))
    if shell == "bash":
        script += "\nCOMP_WORDS=(eeg-hf pretrain pretrain_t); COMP_CWORD=2; _eeg_hf; echo ${COMPREPLY[@]}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "pretrain_tiny"


def test_a_torchvision_of_another_build_is_explained_in_one_line():
    try:
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as cause:
            raise ModuleNotFoundError("Could not import module 'PreTrainedModel'") from cause
    except ModuleNotFoundError as error:
        assert explain(error).startswith("torchvision does not fit torch: pip install --force-reinstall")

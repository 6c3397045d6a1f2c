# SPDX-License-Identifier: Apache-2.0
import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "eeg_hf"

# Which parts of the package a part may import, besides itself
ALLOWED = {
    "electrode_templates": set(),
    "channels": {"electrode_templates"},
    "channel_selection": {"channels"},
    "filtering": set(),
    "signal_quality": {"filtering"},
    "preprocessing": {"channels", "channel_selection", "filtering", "signal_quality"},
    "eeg_preprocessor": {"channels", "filtering", "preprocessing"},
    "normalization": set(),
    "augmentation": {"channels"},
    "feature_extraction_eeg": {
        "channels",
        "channel_selection",
        "filtering",
        "signal_quality",
        "preprocessing",
        "normalization",
        "augmentation",
    },
    "models": set(),
    "vision_towers": {"models"},
    "image_folder": set(),
    "image_embeddings": {"image_folder"},
    "corpora": {"channels", "preprocessing"},
    "pair_columns": set(),
    "data_collator": {"augmentation", "pair_columns"},
    "tokenizer_collator": {"data_collator"},
    "eeg_image_collator": {"data_collator", "image_embeddings", "image_folder"},
    "evaluation": {"channels"},
    # what a training pushes carries its code
    "training": {"data_collator", "tokenizer_collator", "pair_columns", "evaluation", "hub"},
    "hub": {"channels", "preprocessing", "feature_extraction_eeg"},
    # a pipeline takes paths, and what opens a recording of any format is part of corpora
    "inference": {
        "channels",
        "preprocessing",
        "feature_extraction_eeg",
        "data_collator",
        "image_folder",
        "corpora",
    },
    "import_hooks": set(),
    "auto": {"models", "feature_extraction_eeg", "corpora", "inference", "import_hooks", "vision_towers"},
    "__init__": {"auto"},
}
# A model file travels alone to machines without eeg_hf: these it finds there
MODEL_LIBRARIES = {"torch", "transformers"}
MODEL_SUBMODULES = {"huggingface_hub.dataclasses"}
# With src/eeg_hf on the path the first four would shadow real modules; the rest say nothing of what they hold
FORBIDDEN_NAMES = {"signal", "types", "mne", "datasets", "utils", "helpers", "common"}


class Import(NamedTuple):
    """One imported module: its absolute name, what is taken from it, and how it was written."""

    module: str
    names: tuple[str, ...]
    level: int
    line: int
    for_types_only: bool

    @property
    def part(self) -> str | None:
        package, _, rest = self.module.partition(".")
        return (rest.split(".")[0] or "__init__") if package == PACKAGE else None


def read_imports(path: Path, root: Path) -> Iterator[Import]:
    """Yield what a file of the package below root, or a script, imports, also inside functions."""
    tree = ast.parse(path.read_text(), str(path))
    type_blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    typed = {inner for block in type_blocks for statement in block.body for inner in ast.walk(statement)}
    parents = [PACKAGE, *path.relative_to(root).parts[:-1]] if path.is_relative_to(root) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules, names = [alias.name for alias in node.names], ()
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            bare = origin == PACKAGE  # `from . import auto` names a part, `from .auto import x` lies in one
            modules = [f"{origin}.{name}" for name in names] if bare else [origin]
        else:
            continue
        for module in modules:
            yield Import(module, names, getattr(node, "level", 0), node.lineno, node in typed)


def breaches_of_module(path: Path, root: Path) -> Iterator[str]:
    relative = path.relative_to(root)
    part = relative.parts[0].removesuffix(".py")
    if part not in ALLOWED:
        yield f"{relative}: {part} has no rule: say in ALLOWED what it may import"
        return
    if part == "models" and len(relative.parts) > 2:
        yield f"{relative}: models/ is flat: a Hub repository carries one level of relative imports"
    for name in {relative.parts[0].removesuffix(".py"), relative.stem} & FORBIDDEN_NAMES:
        yield f"{relative}: expected a name that says what it holds and shadows nothing, got {name}"
    for found in read_imports(path, root):
        place = f"{relative}:{found.line}"
        if found.part is None:
            if part == "models" and not is_model_library(found.module):
                yield f"{place}: a model file imports {found.module}, which a machine without eeg_hf may lack"
        elif part == "models" and not is_neighbour(found):
            yield f"{place}: expected `from .neighbour import name`, got {found.module}"
        elif part == "__init__" and found.for_types_only:
            continue
        elif found.part != part and found.part not in ALLOWED[part]:
            yield f"{place}: {part} imports {found.part}, it may import {sorted(ALLOWED[part])}"


def is_model_library(module: str) -> bool:
    top = module.split(".")[0]
    return top in sys.stdlib_module_names or top in MODEL_LIBRARIES or module in MODEL_SUBMODULES


def is_neighbour(found: Import) -> bool:
    return found.level == 1 and found.module.startswith(f"{PACKAGE}.models.") and found.module.count(".") == 2


def find_breaches(root: Path) -> list[str]:
    """Check a package folder against the rules above and name every breach by file and line."""
    files = sorted(root.rglob("*.py"))
    return [breach for path in files for breach in breaches_of_module(path, root)]


def find_script_breaches(folder: Path) -> list[str]:
    """Name what scripts import that is not public: names with an underscore, modules of concrete models."""
    breaches = []
    for path in sorted(folder.rglob("*.py")):
        for found in read_imports(path, REPOSITORY / "src" / PACKAGE):
            hidden = any(name.startswith("_") for name in (*found.module.split("."), *found.names))
            if found.part == "models" or (found.part and hidden):
                breaches.append(f"{path.name}:{found.line}: expected public names, got {found.module}")
    return breaches


def test_imports_of_the_package_point_one_way():
    assert find_breaches(REPOSITORY / "src" / PACKAGE) == []


def test_scripts_use_public_names():
    assert find_script_breaches(REPOSITORY / "scripts") == []


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("channels.py", "from .preprocessing import preprocess", "channels imports preprocessing"),
        ("preprocessing.py", "from eeg_hf import corpora", "preprocessing imports corpora"),
        ("training/trainer.py", "def f():\n    from ..models.heads import Head", "training imports models"),
        ("training/trainer.py", "from eeg_hf.corpora import splits", "training imports corpora"),
        ("evaluation/probes.py", "import eeg_hf.data_collator", "evaluation imports data_collator"),
        ("corpora/windows.py", "from .. import hub", "corpora imports hub"),
        ("hub/cards.py", "from ..models.modeling_x import Model", "hub imports models"),
        ("data_collator.py", "from . import EEGModel", "data_collator imports EEGModel"),
        ("data_collator.py", "import eeg_hf", "data_collator imports __init__"),
        ("models/modeling_x.py", "import numpy", "a model file imports numpy"),
        ("models/modeling_x.py", "from huggingface_hub import HfApi", "a model file imports huggingface_hub"),
        ("models/modeling_x.py", "from ..channels import STANDARD_19", "expected `from .neighbour import"),
        ("models/modeling_x.py", "from . import attention", "expected `from .neighbour import"),
        ("models/modeling_x.py", "from eeg_hf.models.heads import Head", "expected `from .neighbour import"),
        ("models/blocks/attention.py", "", "models/ is flat"),
        ("corpora/utils.py", "", "got utils"),
        ("plots.py", "", "plots has no rule"),
        ("__init__.py", "from .training import trainer", "__init__ imports training"),
    ],
)
def test_a_breach_is_found(tmp_path, name, code, message):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    breaches = find_breaches(tmp_path)
    assert len(breaches) == 1
    assert message in breaches[0]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("__init__.py", "if TYPE_CHECKING:\n    from .training import EEGTrainer"),
        ("models/modeling_x.py", "import math\nimport torch\nfrom .attention import Attention"),
        ("models/configuration_x.py", "from huggingface_hub.dataclasses import strict"),
        ("corpora/windows.py", "import mne\nfrom ..preprocessing import clean\nfrom .corpus import Corpus"),
        ("auto.py", "from .models.modeling_x import Model"),
    ],
)
def test_what_is_allowed_passes(tmp_path, name, code):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert find_breaches(tmp_path) == []


@pytest.mark.parametrize("code", ["from eeg_hf.models.heads import Head", "from eeg_hf.auto import _secret"])
def test_a_script_that_reaches_inside_is_found(tmp_path, code):
    (tmp_path / "train.py").write_text(f"import _thread\nfrom eeg_hf.training import EEGTrainer\n{code}")
    breaches = find_script_breaches(tmp_path)
    assert len(breaches) == 1
    assert breaches[0].startswith("train.py:3: expected public names")


def test_importing_the_package_loads_no_optional_and_no_slow_package():
    # What transformers itself loads is its own matter: only what comes on top is counted
    code = (
        "import json, sys, torch, transformers\n"
        "before = set(sys.modules)\n"
        "import eeg_hf\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert PACKAGE in loaded
    optional = {"open_clip", "braindecode", "pyriemann", "moabb", "ray", "onnx", "onnxruntime", "torchvision"}
    slow = {"evaluate", "sklearn", "matplotlib", "pooch", "datasets", "torchaudio", "tensorboard"}
    assert loaded & (optional | slow) == set()

# SPDX-License-Identifier: Apache-2.0
"""Models open by the code beside their weights, where eeg_hf is not installed."""

import torch
from tests.models.model_checks import CASES

from eeg_hf import EEGFeatureExtractor
from eeg_hf.hub import save_with_code

OPEN = """
import sys, torch, transformers
for folder in {folders}:
    auto_class, inputs, expected = torch.load(folder + "/case.pt")
    model = getattr(transformers, auto_class).from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        found = model(**inputs)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
    print(type(model).__name__, type(extractor).__name__, "eeg_hf" in sys.modules)
"""


@torch.no_grad()
def test_every_model_opens_without_the_library(bare, tmp_path):
    folders, names = [], []
    for case in CASES:
        model, folder = case.build(), tmp_path / case.name.replace("-", "_")
        files = save_with_code(model, folder, EEGFeatureExtractor(window_seconds=2.0))
        outputs = {name: value for name, value in model(**case.inputs).items() if torch.is_tensor(value)}
        torch.save((case.auto_class.__name__, case.inputs, outputs), folder / "case.pt")
        folders.append(folder)
        names.append(f"{type(model).__name__} EEGFeatureExtractor False")
        if case.name.startswith("codec"):
            code = {file.name for file in files if file.suffix == ".py"}
            assert {"modeling_eeg_fsq.py", "finite_scalar_quantization.py"} <= code
            assert "modeling_eeg_foundation.py" not in code
    assert bare(OPEN.format(folders=[*map(str, folders)])).splitlines() == names

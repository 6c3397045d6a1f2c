# SPDX-License-Identifier: Apache-2.0
import pytest
from datasets import Dataset

from eeg_hf.corpora import with_classes


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.0, 1.0, 0.0], ["0", "1"]),
        ([10, 2, 2], ["2", "10"]),
        ([0.5, 1.0, 0.5], ["0.5", "1"]),
        ([True, False, True], ["False", "True"]),
        (["001", "002", "001"], ["001", "002"]),
        (["None", "NA", "None"], ["NA", "None"]),
        ([1.0, None, 0.0], ["0", "1"]),
    ],
)
def test_any_column_of_classes_becomes_text(values, names):
    dataset, found = with_classes(
        Dataset.from_dict({"label": values, "x": list(range(len(values)))}), "label"
    )
    assert found == names and dataset.features["label"].dtype == "string"
    known = [i for i, value in enumerate(values) if value is not None]
    assert dataset["x"][:] == known and set(dataset["label"][:]) == set(names)
    assert with_classes(dataset, "label", names[::-1])[1] == names[::-1]


@pytest.mark.parametrize(
    ("values", "class_names", "match"),
    [
        (
            [float(age) for age in range(20, 60)],
            None,
            "holds 40 different numbers .20 to 59., expected classes",
        ),
        ([1.0, 1.0], None, "holds the single class '1': expected two or more"),
        (["a", "b"], ["a", "b", "c"], "class_names lists c: label_column 'label' holds 'a', 'b'"),
        (["a", "b", "c"], ["a", "b"], "holds c, which class_names does not list"),
        ([None, None], None, "none of the 2 windows has a label"),
    ],
)
def test_what_cannot_be_classes_is_refused(values, class_names, match):
    with pytest.raises(ValueError, match=match):
        with_classes(Dataset.from_dict({"label": values, "x": values}), "label", class_names)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="label_column 'group' is not in the dataset"):
        with_classes(Dataset.from_dict({"label": ["a", "b"]}), "group")

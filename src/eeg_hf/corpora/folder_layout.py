# SPDX-License-Identifier: Apache-2.0
"""Subjects, sessions and conditions inferred from the paths of a folder of recordings.

In this order, and the same for every file of a folder:

1. `sub-01`, `ses-a`, `task-rest` anywhere in a path have their meaning in BIDS.
2. Folders that all contain a number (`S01/`, `patient_7/`, `12/`) are subjects, unless their word has another
   meaning: `session2/`, `visit2/`, `day2/`, `night2/` are sessions, `task1/`, `class1/` conditions;
   `run1/`, `block1/`, `part1/`, dates, years with folders in them and the like belong to the run.
3. Else the subject is the beginning of the file name, where all names begin with the same letters and a
   number (`S01_rest`, `chb01_03`, `A01T`), and there are several such beginnings or its letters mean a
   subject.
4. Else the subject is unknown, and every file counts as its own subject.

`train/`, `validation/`, `test/` are the split. A folder level that is none of these and has two names or more
is the condition (`rest/`, `task/`) where it is the only one and the subjects are known; otherwise it could be
the subjects' names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

LabelFrom = Literal["folder", "metadata"]

_ENTITY = re.compile(r"(?:^|[/_])(sub|ses|task)-([^/_.]+)")
_SESSION = re.compile(r"(?:ses|session|visit|day|night)(?:[-_ ]\w+|\d+)", re.IGNORECASE)
_PART = re.compile(
    r"(?:run|block|trial|part|batch|data|dataset|eeg|raw|rec|recording|week|month|year|release|set|file|vol)"
    r"[-_ ]?\d+|\d{6,}|\d+(?:[-_.]\d+)+",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19[89]|20[0-4])\d")
_MONTH_OR_DAY = re.compile(r"\d{1,2}")
_CONDITION = re.compile(
    r"(?:task|rest|cond|condition|class|label|stage|group|level|clip|video|movie|stim|stimulus|exp|experiment|test)"
    r"[-_ ]?\d+",
    re.IGNORECASE,
)
_BEGINNING = re.compile(r"(?P<subject>(?P<letters>[A-Za-z]+)[-_ ]?\d{1,5})(?!\d)")
# Letters that mean a subject even where all files have the same number
_SUBJECT_LETTERS = frozenset(
    ("s", "sub", "subj", "subject", "p", "pat", "patient", "participant", "vp", "pp", "case")
)
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True)
class Place:
    """The fields of a recording that its path states.

    Attributes:
        subject: The subject; `None` where unknown.
        session: The session.
        run: The rest of the path without extension, which distinguishes the recordings of a session.
        task: The task.
        labels: `label` and `split`, if the folders state them; or the other groups of the pattern.
    """

    subject: str | None
    session: str = "1"
    run: str = "1"
    task: str = "unknown"
    labels: Mapping[str, str] = field(default_factory=dict)


def match_pattern(names: Sequence[str], pattern: str) -> dict[str, Place]:
    """Parse paths by a regular expression with named groups.

    Args:
        names: Paths below the corpus's folder.
        pattern: Searched in each path. The group `(?P<subject>...)` is required, `session`, `run` and `task`
            are optional; all further groups are labels.

    Returns:
        Path -> its fields; paths that do not match are left out.

    Raises:
        ValueError: If the pattern is not a regular expression, lacks the subject, or matches no path.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"subject_pattern {pattern!r} is not a regular expression: {error}") from None
    if "subject" not in compiled.groupindex:
        raise ValueError(f"subject_pattern {pattern!r} has no group (?P<subject>...)")
    found = {name: match for name in names if (match := compiled.search(name)) and match["subject"]}
    if names and not found:
        raise ValueError(
            f"subject_pattern {pattern!r} matches none of {len(names)} paths, such as {names[0]}"
        )
    places = {}
    for name, match in found.items():
        groups = {key: text for key, text in match.groupdict().items() if text is not None}
        fields = {key: groups.pop(key) for key in ("subject", "session", "run", "task") if key in groups}
        places[name] = Place(**{"run": without_suffix(name), **fields}, labels=groups)
    return places


def read_layout(names: Sequence[str], label_from: LabelFrom | None = None) -> dict[str, Place]:
    """Parse paths by the rules of this module.

    Args:
        names: Paths below the corpus's folder.
        label_from: `"folder"` to take a label from the folder in any case: the innermost level without
            another role, or the innermost of all.

    Returns:
        Path -> its fields.

    Raises:
        ValueError: If a label is required and a file is not in a folder.
    """
    roles = _roles(names)
    label_level = _label_level(names, roles, label_from)
    if label_level is not None and roles[label_level] == "subject":
        roles[label_level] = "label"
    subjects = _subjects(names, roles)
    is_sure = all(subjects.values()) or label_from == "folder"
    return {name: _place(name, roles, subjects[name], label_level if is_sure else None) for name in names}


def _roles(names: Sequence[str]) -> list[str]:
    """Return the role of each folder level: split, session, subject, part, or other."""
    roles: list[str] = []
    is_dated = False
    for level in range(max((name.count("/") for name in names), default=0)):
        there = {name.split("/")[level] for name in names if name.count("/") > level}
        # The first test that all folders of a level pass decides
        tests: Mapping[str, Callable[[str], object]] = {
            "split": lambda folder: folder.lower() in _SPLITS,
            "session": _SESSION.fullmatch,
            "part": _PART.fullmatch,
            "condition": _CONDITION.fullmatch,
            "subject": lambda folder: folder.startswith("sub-") or re.search(r"\d", folder),
        }
        role = next((role for role, test in tests.items() if all(test(folder) for folder in there)), "other")
        role = "other" if role == "condition" else role
        if role == "subject" and (
            _is_year(names, level) or (is_dated and all(map(_MONTH_OR_DAY.fullmatch, there)))
        ):
            role, is_dated = "part", True
        # Only one level can be the subject, the session or the split
        roles.append("part" if role in roles and role != "other" else role)
    return roles


def _is_year(names: Sequence[str], level: int) -> bool:
    """Separate years (`2024/March/a.edf`) from subjects of four digits (`2001/a.edf`, `2002/a.edf`)."""
    paths = [name.split("/") for name in names]
    years = {path[level] for path in paths if len(path) > level + 1}
    is_only = len(years) == 1 and len(names) > 1
    return all(map(_YEAR.fullmatch, years)) and (is_only or all(len(path) > level + 2 for path in paths))


def _label_level(names: Sequence[str], roles: Sequence[str], label_from: LabelFrom | None) -> int | None:
    """Choose the folder level that is the label, `None` for none."""
    whole = min((name.count("/") for name in names), default=0)  # levels that every file has
    free = [level for level in range(whole) if roles[level] == "other"]
    distinct = [level for level in free if len({name.split("/")[level] for name in names}) > 1]
    if label_from == "folder":
        any_level = [level for level in range(whole) if roles[level] != "split"]
        if not any_level:
            flat = next(name for name in names if name.count("/") == whole)
            raise ValueError(f"label_from='folder', but {flat} is in no folder that could be its label")
        return (distinct or free or any_level)[-1]
    return distinct[0] if label_from is None and len(distinct) == 1 else None


def _subjects(names: Sequence[str], roles: Sequence[str]) -> dict[str, str | None]:
    """Return the subject of each file."""
    level = roles.index("subject") if "subject" in roles else None
    subjects: dict[str, str | None] = {}
    for name in names:
        folders = name.split("/")[:-1]
        by_folder = folders[level] if level is not None and len(folders) > level else None
        subjects[name] = dict(_ENTITY.findall(name)).get("sub") or by_folder
    if not any(subjects.values()):  # by the beginnings of the file names
        matches = [_BEGINNING.match(PurePosixPath(name).stem) for name in names]
        beginnings = [match["subject"] for match in matches if match]
        letters = {match["letters"].lower() for match in matches if match}
        is_other = any(p.fullmatch(one) for one in beginnings for p in (_PART, _CONDITION, _SESSION))
        is_subject = len(set(beginnings)) > 1 or letters <= _SUBJECT_LETTERS
        if all(matches) and len(letters) == 1 and is_subject and not is_other:
            return dict(zip(names, beginnings, strict=True))
    return subjects


def _place(name: str, roles: Sequence[str], subject: str | None, label_level: int | None) -> Place:
    folders = name.split("/")[:-1]
    entities = dict(_ENTITY.findall(name))
    by_role = dict(zip(roles, folders, strict=False))
    rest = [f for role, f in zip(roles, folders, strict=False) if role not in ("split", "session", "subject")]
    labels = {} if label_level is None else {"label": folders[label_level]}
    if "split" in by_role:
        labels["split"] = _SPLITS[by_role["split"].lower()]
    return Place(
        subject=subject,
        session=entities.get("ses") or by_role.get("session", "1"),
        run="_".join([*rest, PurePosixPath(name).stem]),
        task=entities.get("task", "unknown"),
        labels=labels,
    )


def without_suffix(name: str) -> str:
    """Return a path as one word without extension: `rest/S01.edf` is `rest_S01`."""
    return name.removesuffix(PurePosixPath(name).suffix).replace("/", "_")

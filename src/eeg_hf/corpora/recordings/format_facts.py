# SPDX-License-Identifier: Apache-2.0
"""What is known of each format: how it states gaps, events, positions and units, and how far it was tried.

`docs/formats.md` shows this table; a test compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from .recording_files import extension_of


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: Its name.
        extensions: Extensions of main files, in lower case.
        gaps: How missing samples are stated, all of which is honoured; "none" where the format cannot.
        events: Where events come from.
        positions: Where electrode positions come from, if not from names.
        unit: Where the unit comes from.
        companions: Other files of a recording.
        limits: What is refused or needs a package.
        tried: `"real files"`, or `"written files"` where no recording of an amplifier was at hand.
    """

    name: str
    extensions: tuple[str, ...]
    gaps: str
    events: str
    positions: str
    unit: str
    companions: str
    limits: str
    tried: str


_EXTRA = "needs `eeg-hf[formats]`"

FORMATS: tuple[Format, ...] = (
    Format(
        *("EDF, EDF+", (".edf",), "EDF+D: the clock of its records; marks of lost samples"),
        *(
            "annotations",
            "names",
            "header, also misspelt",
            "–",
            "epochs; two signals of one name",
            "real files",
        ),
    ),
    Format(
        *("BDF, BDF+", (".bdf",), "BDF+D: the clock of its records; marks of lost samples"),
        *("trigger channel, annotations", "names", "header", "–", "–", "real files"),
    ),
    Format(
        *("GDF", (".gdf",), "event 0x7FFE; stretches at the lowest value beside it"),
        *("event table", "names", "header", "–", "versions 1 and 2", "written files"),
    ),
    Format(
        *("BrainVision", (".vhdr", ".ahdr"), "`New Segment`, `DC Correction`, marks of lost samples"),
        *("markers", "header", "header", "`.eeg` or `.dat`, `.vmrk`", "–", "real files"),
    ),
    Format(
        *("EEGLAB", (".set",), "`boundary`, ERPLAB's `-99`"),
        *(
            "events",
            "file",
            "uV",
            "`.fdt`, if it is not inside",
            f"epochs; MATLAB 7.3 {_EXTRA}",
            "real files",
        ),
    ),
    Format(
        *("FIF", (".fif", ".fif.gz"), "skips, `BAD_ACQ_SKIP`, `EDGE boundary`"),
        *("trigger channel, annotations", "file", "file", "later parts", "epochs, averages", "real files"),
    ),
    Format(
        *("Neuroscan CNT", (".cnt",), "events of a start or a DC reset"),
        *(
            "event table",
            "header",
            "header",
            "–",
            "`sample_format` where counts do not tell",
            "written files",
        ),
    ),
    Format(
        *("ANT eego", (".cnt",), "impedance checks, disconnections"),
        *("triggers", "names", "header", "–", f"RIFF and RF64; {_EXTRA}", "written files"),
    ),
    Format(
        *("EGI", (".mff",), "epochs"),
        *("event tracks", "file", "uV", "a folder", f"averages; {_EXTRA}", "written files"),
    ),
    Format(
        *("EGI simple binary", (".raw",), "event `epoc`"),
        *("event channels", "names", "header", "–", "segmented files", "written files"),
    ),
    Format(
        *("Nihon Kohden", (".eeg",), "data blocks"),
        *("`.log`", "names", "header", "`.21e`, `.pnt`, `.log`", "several control blocks", "written files"),
    ),
    Format(
        *("Persyst", (".lay",), "`[SampleTimes]`"),
        *("`[Comments]`", "names", "header", "`.dat`", "–", "written files"),
    ),
    Format(
        *("XDF", (".xdf", ".xdfz"), "time stamps"),
        *(
            "marker streams",
            "names",
            "header, else `unit`",
            "–",
            f"two EEG streams; {_EXTRA}",
            "written files",
        ),
    ),
    Format(
        *("Curry", (".cdt", ".dap"), "marks of lost samples"),
        *("events", "file", "header", "`.dpa`, `.cef`; `.dat`, `.rs3`"),
        *(f"compressed samples, epochs; {_EXTRA}", "written files"),
    ),
    Format(
        *("Neuroelectrics", (".nedf",), "none"),
        *("trigger channel", "names", "fixed", "–", f"stimulation is left out; {_EXTRA}", "written files"),
    ),
    Format(
        *("Nicolet", (".data",), "none", "none", "names", "header", "`.head`", "not `.e`", "written files"),
    ),
    Format(
        *(
            "eXimia",
            (".nxe",),
            "none",
            "trigger channels",
            "names",
            "fixed",
            "–",
            "64 channels",
            "written files",
        ),
    ),
    Format(
        *(
            "tables",
            (".csv", ".tsv", ".txt", ".parquet"),
            "counter or clock that skips; rows without any sample",
        ),
        *(
            "a column of text or codes",
            "names",
            "`unit`",
            "–",
            "`sampling_rate` must be stated",
            "real files",
        ),
    ),
)
"""All formats that are read."""


def format_name(path: Path, kind: str | None = None) -> str:
    """Return the name of a recording's format.

    Args:
        path: The main file.
        kind: The format of its first bytes, which tells the two kinds of `.cnt` apart.
    """
    found = [each for each in FORMATS if extension_of(path) in each.extensions]
    if len(found) > 1 and kind == "ANT CNT":
        found = found[1:]
    return found[0].name if found else extension_of(path)


def table_of_formats(formats: Sequence[Format] = FORMATS) -> str:
    """Return the formats as a table in Markdown."""
    names = [column.name for column in fields(Format)]
    lines = ["| " + " | ".join(name.replace("name", "format") for name in names) + " |"]
    lines.append("|" + ":--|" * len(names))
    for each in formats:
        extensions = " ".join(f"`{extension}`" for extension in each.extensions)
        cells = [extensions if name == "extensions" else str(getattr(each, name)) for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)

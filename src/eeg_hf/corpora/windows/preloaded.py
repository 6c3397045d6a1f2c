# SPDX-License-Identifier: Apache-2.0
"""What every worker needs before its first recording, done once by the server that workers are forked from.

Each would spend 0.1 s on it: readers and montages are imported when they are first used.
"""

import contextlib
import gc

import mne
import numpy as np
import scipy.fft
import scipy.signal  # noqa: F401

from ...processing.electrode_templates import montage_names, template_names
from .shards import find_libraries

with contextlib.suppress(ValueError, OSError), mne.utils.use_log_level("ERROR"):
    mne.io.read_raw("recording.unknown")  # lists, and therefore imports, all readers
mne.io.RawArray(np.zeros((1, 2)), mne.create_info(1, 100.0, "eeg"), verbose="ERROR").set_montage(None)
template_names()
montage_names()
find_libraries()
gc.freeze()  # workers that collect garbage would copy all pages of these objects

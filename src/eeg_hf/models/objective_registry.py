# SPDX-License-Identifier: Apache-2.0
"""All pretraining objectives by name. To add one, write `objective_<name>.py` and list its class here."""

from .configuration_eeg_foundation import EEGFoundationConfig
from .objective import Objective
from .objective_auxiliary import AuxiliaryTasks
from .objective_codes import MaskedCodes
from .objective_masked_bands import MaskedBands
from .objective_masked_signal import MaskedSignal
from .objective_same_stimulus import SameStimulus
from .objective_two_views import TwoViews

# The order is that of the heads in a model: it decides which random numbers initialize which head
OBJECTIVES: dict[str, type[Objective]] = {
    objective.name: objective
    for objective in (MaskedBands, MaskedSignal, MaskedCodes, TwoViews, SameStimulus, AuxiliaryTasks)
}
# All inputs of the pretraining model that only objectives read
OBJECTIVE_COLUMNS = tuple(column for objective in OBJECTIVES.values() for column in objective.columns)


def build_objectives(config: EEGFoundationConfig) -> dict[str, Objective]:
    """Return the objectives that a config enables, by name.

    Raises:
        ValueError: If `config.objectives` names an unknown objective, or no objective is enabled.
    """
    unknown = sorted(set(config.objectives or {}) - set(OBJECTIVES))
    if unknown:
        raise ValueError(f"objectives: unknown {unknown}, expected some of {sorted(OBJECTIVES)}")
    # Built also if disabled: each checks its settings
    objectives = {name: objective(config) for name, objective in OBJECTIVES.items()}
    enabled = {name: objective for name, objective in objectives.items() if objective.is_enabled}
    if not enabled:
        raise ValueError(
            f"nothing to learn: the weights of target={config.target!r} and contrastive_weight are 0, and "
            "there are neither auxiliary_tasks nor other objectives"
        )
    return enabled


__all__ = ["OBJECTIVES", "OBJECTIVE_COLUMNS", "build_objectives"]

# SPDX-License-Identifier: Apache-2.0
"""Configuration of EEGFoundation."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_attention_heads, check_channels, check_choice, check_positive, check_windows
from .standard_montage import set_standard_montage

TARGETS = ("signal", "codes", "both")
CHANNEL_ADAPTERS = ("none", "perceiver", "zero_pad", "spline")
CLASSIFIER_POOLINGS = ("mean", "attention")
SECOND_ORDER_BASES = ("channels", "harmonics")
# Narrow where rhythms lie close together, wide where the spectrum is smooth
SECOND_ORDER_BANDS_HZ = (
    *((1, 3), (3, 5), (5, 7), (7, 9), (9, 11), (11, 13)),
    *((13, 16), (16, 20), (20, 25), (25, 30), (30, 37), (37, 45)),
)


@strict
class EEGFoundationConfig(PreTrainedConfig):
    r"""Configuration of [`EEGFoundationModel`] and its heads.

    The defaults describe a model of 12 layers and width 512 for signals at 200 Hz. The names `d_model`,
    `n_heads`, `n_layers`, `d_ff` and `n_channels` are accepted as well.

    Args:
        hidden_size (`int`): Width of every token.
        num_hidden_layers (`int`): Number of transformer layers.
        num_attention_heads (`int`): Heads of the temporal and of the channel attention; divides
            `hidden_size`.
        intermediate_size (`int`): Width of the feed-forward layers.
        dropout (`float`): Dropout on embeddings, attention weights and residual branches.
        sampling_rate (`float`): Rate in Hz of the signals the model is trained on; `patch_size` counts such
            samples.
        num_channels (`int`): Number of channels that `model(eeg)` accepts when no positions are given.
        channel_names (`list[str]`, *optional*): Names of those channels; the 19 of the 10-20 system by
            default.
        channel_positions (`list[list[float]]`, *optional*): Positions (x, y, z) of those channels in metres
            (head frame).
        max_seq_length (`int`): Longest signal in samples (10,000 = 50 s at 200 Hz).
        patch_size (`int`): Samples of one patch (200 = 1 s at 200 Hz).
        overlap (`float`): Share of a patch that the next one repeats, in [0, 1).
        scale_factors (`list[int]`): Scale s cuts a patch into s windows of `patch_size / s` samples, so 1, 2,
            4, 8 give 1, 0.5, 0.25 and 0.125 s: large factors resolve time, small ones frequency.
        use_multi_scale (`bool`): Use all `scale_factors`; otherwise only whole patches.
        use_channel_attention (`bool`): Let the channels of one patch attend to each other in every layer.
        mask_ratio (`float`): Share of the stretches (one channel, `patch_size` samples) that
            pretraining masks.
        target (`str`): Prediction for the masked stretches: `"signal"`, `"codes"` (the tokens of a codec,
            [`EEGFSQModel`]) or `"both"`.
        reconstruction_weight (`float`): Weight of the masked reconstruction loss; 0 omits its decoder.
        visible_weight (`float`): Weight of unmasked samples within the reconstruction loss. A small weight
            (0.1) teaches the map to the tokens and back, without which a small model predicts zero for
            hundreds of steps.
        code_weight (`float`): Weight of the loss of the codes.
        code_levels (`list[int]`): The codec's levels of each dimension of a code.
        codes_per_patch (`int`): The codec's codes of one patch.
        contrastive_weight (`float`): Weight of the contrastive loss; 0 omits its projection head.
        contrastive_temperature (`float`): Temperature of the contrastive loss.
        learnable_temperature (`bool`): Train the temperature; `contrastive_temperature` is its initial value.
        contrastive_guard_seconds (`float`): Windows of one stimulus closer in time than this are no negatives
            of each other.
        projection_size (`int`): Width of `contrastive_features`.
        projection_batch_norm (`bool`): Normalise over the batch within the projection head.
        auxiliary_tasks (`dict[str, dict]`, *optional*): Properties of the subject that pretraining predicts,
            by name, such as [`HBN_AUXILIARY_TASKS`]: `num_outputs` (1 = a number), `weight`, `classes`
            (names, in order), and for numbers `mean` and `std` in the training set.
        auxiliary_weight (`float`): Weight of all these tasks together; 0 omits their heads.
        objectives (`dict[str, dict]`, *optional*): Settings of further pretraining objectives, by their name
            in `objective_registry.py`.
        channel_adapter (`str`): Map from any montage to the encoder's: `"none"` (the encoder takes all
            electrodes by their coordinates), `"perceiver"`, `"zero_pad"` or `"spline"`.
        adapter_channel_names (`list[str]`, *optional*): Names of the adapter's output channels;
            `channel_names` by default.
        adapter_channel_positions (`list[list[float]]`, *optional*): Their positions in metres (head frame).
        adapter_size (`int`): Width of the perceiver's queries.
        adapter_heads (`int`): Attention heads of the perceiver.
        second_order (`bool`): Add second-order tokens, one for each band, made of the cross-spectra of the
            channels (see `second_order.py`). The classifier reads their vectors as well.
        second_order_bands (`list[list[float]]`): Lower (included) and upper (excluded) edge of each band in
            Hz. Steady-state responses need bands below 1 Hz and frames of several seconds.
        second_order_basis (`str`): `"channels"` (the electrodes at `channel_positions`, in any order) or
            `"harmonics"` (spherical harmonics fitted to any montage).
        second_order_degree (`int`): Highest degree of the harmonics: 1, 2 or 3, for 3, 8 or 15 components.
        second_order_split (`bool`): Keep correlations and log power apart, instead of covariances.
        second_order_regularization (`float`): Shrinkage before recentring, so that the mean of a
            rank-deficient signal (an average reference) can be inverted.
        second_order_shrinkage (`float`): Shrinkage after recentring, before the logarithm.
        second_order_frame_seconds (`float`): Length of Welch's frames, which overlap by half; bands are
            resolved to its inverse.
        second_order_stretch_seconds (`float`, *optional*): Cut windows into stretches of about this length,
            with one token for each band of each; one stretch by default.
        second_order_layers (`int`): Layers of attention among these tokens.
        time_course_seconds (`float`, *optional*): Seconds from the start of a window whose slow time course
            the classifier reads as well: for windows that are locked to an event. It is of the components of
            the second-order tokens.
        time_course_hz (`float`): Frequency up to which it is read.
        classifier_dropout (`float`): Dropout before the classification head.
        classifier_pooling (`str`): What the head reads: `"mean"` (`pooler_output`), or `"attention"`, a mean
            of the tokens whose weights are learned with the head.
        class_weights (`list[float]`, *optional*): Weight of each class in the loss, 1 on average.
        label_smoothing (`float`): Share of every label that the loss spreads over all classes.
        regression_mean (`float`): With one output: mean of the labels in the training set. The head predicts
            deviations from it; outputs are in the unit of the labels.
        regression_std (`float`): Standard deviation of these labels.
        tasks (`dict[str, int]`, *optional*): Number of outputs of each of several heads by name, where 1
            means regression. By default there is one head with `num_labels` outputs.
        task_labels (`dict[str, list[str]]`, *optional*): Classes of each task in order; none of a number.

    Example:
        >>> from eeg_hf import EEGFoundationConfig
        >>> EEGFoundationConfig(d_model=128, n_layers=3, n_heads=4, d_ff=512).hidden_size
        128
    """

    model_type = "eeg_foundation"
    attribute_map = {
        "d_model": "hidden_size",
        "n_heads": "num_attention_heads",
        "n_layers": "num_hidden_layers",
        "d_ff": "intermediate_size",
        "n_channels": "num_channels",
    }

    # Encoder
    hidden_size: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    dropout: float | int = 0.1
    hidden_act: str = "gelu"
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    # Signal and patches
    sampling_rate: float | int = 200.0
    num_channels: int = 19
    channel_names: list[str] | tuple[str, ...] | None = None
    channel_positions: list | tuple | None = None
    max_seq_length: int = 10_000
    patch_size: int = 200
    overlap: float | int = 0.5
    scale_factors: list[int] | tuple[int, ...] = (1, 2, 4, 8)
    use_multi_scale: bool = True
    use_channel_attention: bool = True
    # Masked prediction, of samples or of codes
    mask_ratio: float | int = 0.15
    target: str = "signal"
    reconstruction_weight: float | int = 1.0
    visible_weight: float | int = 0.0
    code_weight: float | int = 1.0
    code_levels: list[int] | tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    codes_per_patch: int = 1
    # Contrast, of two views or of subjects at the same moment
    contrastive_weight: float | int = 0.5
    contrastive_temperature: float | int = 0.07
    learnable_temperature: bool = False
    contrastive_guard_seconds: float | int = 2.0
    projection_size: int = 128
    projection_batch_norm: bool = False
    # Auxiliary tasks and other objectives
    auxiliary_tasks: dict[str, dict] | None = None
    auxiliary_weight: float | int = 1.0
    objectives: dict[str, dict] | None = None
    # Channel adapter
    channel_adapter: str = "none"
    adapter_channel_names: list[str] | tuple[str, ...] | None = None
    adapter_channel_positions: list | tuple | None = None
    adapter_size: int = 64
    adapter_heads: int = 4
    # Second-order tokens
    second_order: bool = False
    second_order_bands: list | tuple = SECOND_ORDER_BANDS_HZ
    second_order_basis: str = "channels"
    second_order_degree: int = 3
    second_order_split: bool = True
    second_order_regularization: float | int = 0.01
    second_order_shrinkage: float | int = 0.5
    second_order_frame_seconds: float | int = 1.0
    second_order_stretch_seconds: float | int | None = None
    second_order_layers: int = 1
    time_course_seconds: float | int | None = None
    time_course_hz: float | int = 12.0
    # Heads of classifiers and regressions
    classifier_dropout: float | int = 0.1
    classifier_pooling: str = "mean"
    class_weights: list[float] | tuple[float, ...] | None = None
    label_smoothing: float | int = 0.0
    regression_mean: float | int = 0.0
    regression_std: float | int = 1.0
    tasks: dict[str, int] | None = None
    task_labels: dict[str, list[str]] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # applies the attribute map: d_model and others hold from here on
        set_standard_montage(self)
        if self.channel_adapter != "none" and self.adapter_channel_positions is None:
            self.adapter_channel_names = self.channel_names
            self.adapter_channel_positions = self.channel_positions
        self.validate_architecture()

    @property
    def hop_size(self) -> int:
        """Samples between the starts of two patches."""
        return round(self.patch_size * (1 - self.overlap))

    @property
    def max_patches(self) -> int:
        """Number of patches of the longest signal."""
        return -(-max(self.max_seq_length - self.patch_size, 0) // self.hop_size) + 1

    @property
    def active_scales(self) -> tuple[int, ...]:
        """The scale factors in use."""
        return tuple(self.scale_factors) if self.use_multi_scale else (1,)

    @property
    def num_components(self) -> int:
        """Number of spatial components of the second-order tokens."""
        if self.second_order_basis == "channels":
            return self.num_channels
        return (self.second_order_degree + 1) ** 2 - 1

    @property
    def num_band_features(self) -> int:
        """Length of the second-order vector of a band."""
        size = self.num_components
        return size * (size + 1) // 2 + (size if self.second_order_split else 0)

    @property
    def num_cosines(self) -> int:
        """Numbers of the time course of a component; 0 where none is read."""
        if self.time_course_seconds is None:
            return 0
        num_samples = round(self.time_course_seconds * self.sampling_rate)
        return min(int(2 * self.time_course_hz * self.time_course_seconds) + 1, num_samples)

    @property
    def predicts_signal(self) -> bool:
        """Whether pretraining reconstructs masked samples."""
        return self.target != "codes" and self.reconstruction_weight > 0

    @property
    def predicts_codes(self) -> bool:
        """Whether pretraining predicts the codes of masked patches."""
        return self.target != "signal" and self.code_weight > 0

    def validate_architecture(self) -> None:
        """Raise a ValueError naming the first field that cannot work with the others."""
        check_positive(
            self, "hidden_size", "num_attention_heads", "intermediate_size", "num_channels", "patch_size"
        )
        check_attention_heads(self)
        check_choice(
            self, target=TARGETS, channel_adapter=CHANNEL_ADAPTERS, classifier_pooling=CLASSIFIER_POOLINGS
        )
        check_channels(self, "channel_names", "channel_positions")
        if not 0 <= self.overlap < 1 or self.hop_size < 1:
            raise ValueError(f"overlap: expected a share in [0, 1), got {self.overlap}")
        check_windows(self)
        # Each scale needs at least 2 samples a window, for one band of its spectrum
        for scale in self.active_scales:
            if scale < 1 or self.patch_size % scale or self.patch_size // scale < 2:
                raise ValueError(
                    f"scale_factors: {scale} does not cut a patch of {self.patch_size} samples into equal "
                    "windows"
                )
        if self.predicts_codes and self.hop_size != self.patch_size:
            raise ValueError(
                f"overlap: expected 0 with target={self.target!r}, because a code encodes one patch, got "
                f"{self.overlap}"
            )
        if self.contrastive_temperature <= 0:
            raise ValueError(
                f"contrastive_temperature: expected more than 0, got {self.contrastive_temperature}"
            )
        self.validate_channel_adapter()
        self.validate_numbers()
        self.validate_second_order()
        self.validate_time_course()

    def validate_channel_adapter(self) -> None:
        """Raise a ValueError if the channel adapter cannot work."""
        if self.channel_adapter == "none":
            return
        if not self.adapter_channel_positions:
            raise ValueError(
                f"channel_adapter={self.channel_adapter!r} needs adapter_channel_positions, the positions of "
                "its output channels in metres; montage_positions returns those of a montage"
            )
        # Names are optional
        names = self.adapter_channel_names
        if names is not None and len(names) != len(self.adapter_channel_positions):
            raise ValueError(
                f"adapter_channel_names has {len(names)} names, adapter_channel_positions has "
                f"{len(self.adapter_channel_positions)} triples"
            )
        if any(len(position) != 3 for position in self.adapter_channel_positions):
            raise ValueError("adapter_channel_positions: expected triples, one (x, y, z) in metres a channel")
        if self.adapter_heads < 1 or self.adapter_size % self.adapter_heads:
            raise ValueError(
                f"adapter_size ({self.adapter_size}) must be a multiple of adapter_heads "
                f"({self.adapter_heads})"
            )
        if self.predicts_codes:
            raise ValueError(
                f"target={self.target!r} needs channel_adapter='none': a codec encodes the recorded channels"
            )

    def validate_second_order(self) -> None:
        """Raise a ValueError where second-order tokens cannot be computed."""
        if not self.second_order:  # @strict calls each method named validate_*, whatever the settings
            return
        if self.second_order_basis not in SECOND_ORDER_BASES:
            raise ValueError(
                f"second_order_basis: expected one of {', '.join(SECOND_ORDER_BASES)}, got "
                f"{self.second_order_basis!r}"
            )
        if self.second_order_basis == "channels" and self.channel_positions is None:
            raise ValueError("second_order_basis='channels' needs channel_positions, in metres")
        if not 1 <= self.second_order_degree <= 3:
            raise ValueError(f"second_order_degree: expected 1, 2 or 3, got {self.second_order_degree}")
        for name in ("second_order_regularization", "second_order_shrinkage"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {getattr(self, name)}")
        if not self.second_order_bands:
            raise ValueError("second_order_bands: expected one band or more, got none")
        for band in self.second_order_bands:
            if len(band) != 2 or not 0 < band[0] < band[1] <= self.sampling_rate / 2:
                raise ValueError(
                    f"second_order_bands: expected a lower and an upper edge between 0 and "
                    f"{self.sampling_rate / 2:g} Hz, got {list(band)}"
                )
        if not self.second_order_frame_seconds * self.sampling_rate >= 4:
            raise ValueError(
                f"second_order_frame_seconds: expected 4 samples or more at {self.sampling_rate:g} Hz, got "
                f"{self.second_order_frame_seconds} s"
            )

    def validate_time_course(self) -> None:
        """Raise a ValueError where a time course cannot be read."""
        if self.time_course_seconds is None:
            return
        if not self.second_order:
            raise ValueError("time_course_seconds: expected second_order=True, whose components it is of")
        if self.tasks is not None:
            raise ValueError("time_course_seconds: expected one head, got several tasks: leave it out")
        if not 0 < self.time_course_hz <= self.sampling_rate / 2:
            raise ValueError(
                f"time_course_hz: expected more than 0 and at most {self.sampling_rate / 2:g} Hz, got "
                f"{self.time_course_hz}"
            )
        if not self.time_course_seconds * self.sampling_rate >= 2:
            raise ValueError(
                f"time_course_seconds: expected 2 samples or more at {self.sampling_rate:g} Hz, got "
                f"{self.time_course_seconds} s"
            )

    def validate_numbers(self) -> None:
        """Raise a ValueError naming the first weight, statistic or task that cannot work."""
        for name in ("reconstruction", "visible", "code", "contrastive", "auxiliary"):
            if not getattr(self, f"{name}_weight") >= 0:
                raise ValueError(f"{name}_weight: expected 0 or more, got {getattr(self, f'{name}_weight')}")
        if not self.regression_std > 0:  # also refuses NaN
            raise ValueError(f"regression_std: expected more than 0, got {self.regression_std}")
        if self.contrastive_guard_seconds < 0:
            raise ValueError(
                f"contrastive_guard_seconds: expected 0 or more, got {self.contrastive_guard_seconds}"
            )
        for task, settings in (self.auxiliary_tasks or {}).items():
            unknown = sorted(set(settings) - {"num_outputs", "weight", "mean", "std", "classes"})
            if unknown:
                raise ValueError(
                    f"auxiliary_tasks: {task!r} has {unknown}, expected num_outputs, weight, mean, std or "
                    "classes"
                )
            num_outputs, classes = settings.get("num_outputs", 1), settings.get("classes")
            numbers = [settings.get(name, 1.0) for name in ("std", "weight", "mean")]
            if (
                not isinstance(num_outputs, int)
                or not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
                or not (num_outputs >= 1 and numbers[0] > 0 and numbers[1] >= 0)
            ):
                raise ValueError(
                    f"auxiliary_tasks: {task!r} needs num_outputs of 1 or more, std above 0 and weight of 0 "
                    f"or more, got {settings}"
                )
            if classes is not None and len(classes) != num_outputs:
                raise ValueError(
                    f"auxiliary_tasks: {task!r} has {num_outputs} outputs and {len(classes)} classes: "
                    f"{classes}"
                )


__all__ = ["SECOND_ORDER_BANDS_HZ", "EEGFoundationConfig"]

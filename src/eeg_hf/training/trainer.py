# SPDX-License-Identifier: Apache-2.0
"""transformers' Trainer with evaluation collators, layer-wise learning rates and a log of all losses."""

import contextlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import FeatureExtractionMixin, PreTrainedModel, Trainer, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, TrainOutput
from transformers.utils import logging

from ..corpora import SeenWindows
from ..folder_lock import locked_folder, program
from ..hub.code import add_code
from ..kept_memory import kept_memory
from .callbacks import SetCollatorEpoch
from .checkpoint import is_finished
from .optimizer import layerwise_parameter_groups
from .run_settings import FILE as RUN_SETTINGS
from .run_settings import describe_run, refuse_other_settings
from .sampler import ChannelGroupedSampler

logger = logging.get_logger(__name__)


class EEGTrainer(Trainer):
    """Trainer for EEG models.

    Args:
        eval_data_collator: Collator of evaluation and prediction, which must not augment; the training
            collator by default.
        layer_decay: Learning rate of layer i of n = `learning_rate * layer_decay ** (n - i)`, embeddings
            lowest, heads highest (https://arxiv.org/abs/2106.08254, BEiT); 1 trains all at one rate.
        train_sampler: Builds the sampler of the training rows from `batch_size`, the rows of a batch over all
            processes, such as `partial(PairSampler.from_windows, windows, pairs)`.
        seen_windows: The windows that the model has seen once it is trained, also with the weights it starts
            from; saved beside the weights.
        **kwargs: As in `transformers.Trainer`.
    """

    def __init__(
        self,
        *args: Any,
        eval_data_collator: Callable | None = None,
        layer_decay: float = 1.0,
        train_sampler: Callable[..., Sampler] | None = None,
        seen_windows: SeenWindows | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay: expected a factor in (0, 1], got {layer_decay}")
        super().__init__(*args, **kwargs)
        refuse_lone_process(self.args)
        self.args.logging_nan_inf_filter = False  # Trainer would log a loss of NaN as 0
        self.eval_data_collator = eval_data_collator
        self.layer_decay = layer_decay
        self.train_sampler = train_sampler
        self.seen_windows = seen_windows
        trained: Any = self.model
        if seen_windows is not None:
            trained.seen_windows = seen_windows  # for a push of the trained model
        self._run_settings: dict[str, Any] = {}
        self._loss_parts: dict[str, list[torch.Tensor]] = defaultdict(list)
        self.add_callback(SetCollatorEpoch())

    def train(
        self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any
    ) -> TrainOutput:
        """Train. A resumed run starts a stream at the checkpoint's position instead of reading up to it.

        A run whose checkpoint is its last step is not trained on: the weights of that checkpoint are loaded,
        or the best ones where the arguments say so.

        Raises:
            ValueError: If the checkpoint was trained with other settings, model or windows.
            FolderInUseError: If another process trains into the same folder.
        """
        lock = locked_folder(str(self.args.output_dir), program())
        with lock if self.is_world_process_zero() else contextlib.nullcontext():
            return self._train(resume_from_checkpoint, *args, **kwargs)

    def _train(self, resume_from_checkpoint: str | bool | None, *args: Any, **kwargs: Any) -> TrainOutput:
        self._run_settings = describe_run(self.args, getattr(self.model, "config", None), self.seen_windows)
        if isinstance(resume_from_checkpoint, str):
            refuse_other_settings(resume_from_checkpoint, self._run_settings)
        if isinstance(resume_from_checkpoint, str) and is_finished(Path(resume_from_checkpoint), self.args):
            return self._load_finished(resume_from_checkpoint)
        start_at = getattr(self.train_dataset, "start_at", None)
        if start_at is not None and isinstance(resume_from_checkpoint, str):
            # In batches of this process, of which each step takes gradient_accumulation_steps
            state = TrainerState.load_from_json(str(Path(resume_from_checkpoint) / "trainer_state.json"))
            batches = state.global_step * self.args.gradient_accumulation_steps
            start_at(batches, self.args.train_batch_size)
            self.args.ignore_data_skip = True  # Trainer would skip as many batches once more
        with kept_memory():
            return super().train(resume_from_checkpoint, *args, **kwargs)

    def _load_finished(self, checkpoint: str) -> TrainOutput:
        """Take over the weights and the state of a run that is finished."""
        logger.warning(f"{checkpoint} is the last step of this run: nothing is left to train")
        self.state = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json"))
        self._load_from_checkpoint(checkpoint)
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint:
            self._load_best_model()
        return TrainOutput(self.state.global_step, 0.0, {})

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate or predict."""
        with kept_memory():
            return super().evaluation_loop(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Return the training loader; streams divide themselves among processes, without accelerate."""
        stream: Any = self.train_dataset
        if not hasattr(stream, "start_at"):
            return super().get_train_dataloader()
        if (stream.rank, stream.world_size) != (self.args.process_index, self.args.world_size):
            raise ValueError(
                f"stream: expected rank {self.args.process_index} of {self.args.world_size}, got rank "
                f"{stream.rank} of {stream.world_size}"
            )
        return DataLoader(
            stream,
            batch_size=self.args.train_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            # Drawing the workers' seed from the global generator would change dropout after a restart
            generator=torch.Generator(),
        )

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Return the evaluation loader, with its own collator."""
        return self._with_eval_collator(super().get_eval_dataloader, *args, **kwargs)

    def get_test_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Return the prediction loader, with the collator of evaluation."""
        return self._with_eval_collator(super().get_test_dataloader, *args, **kwargs)

    def _with_eval_collator(
        self, get_dataloader: Callable[..., DataLoader], *args: Any, **kwargs: Any
    ) -> DataLoader:
        # Trainer has one collator for all loaders, read while it builds them
        train_collator = self.data_collator
        self.data_collator = self.eval_data_collator or train_collator
        try:
            return get_dataloader(*args, **kwargs)
        finally:
            self.data_collator = train_collator

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Return `train_sampler`, or one that groups windows by number of channels where these differ."""
        if self.train_sampler is not None:
            # accelerate deals the batches of a sampler out to the processes in turn
            return self.train_sampler(batch_size=self.args.train_batch_size * self.args.world_size)
        train_dataset = self.train_dataset if train_dataset is None else train_dataset
        num_channels = getattr(train_dataset, "num_channels", None)
        if num_channels is None or len(set(num_channels)) == 1:
            return super()._get_train_sampler(train_dataset)
        # Groups span the batches of one step, whose gradients are averaged
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return ChannelGroupedSampler(num_channels, batch_size, self.args.data_seed or self.args.seed)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build the optimizer, with one parameter group a layer if `layer_decay` is below 1."""
        # super() keeps an optimizer that exists, and builds the usual groups otherwise
        if self.optimizer is None and self.layer_decay < 1:
            trained: Any = self.model if model is None else model
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = layerwise_parameter_groups(
                trained,
                learning_rate=self.args.learning_rate,
                layer_decay=self.layer_decay,
                weight_decay=self.args.weight_decay,
                decay_names=self.get_decay_parameter_names(trained),
            )
            self.optimizer = optimizer_class(groups, **settings)
        return super().create_optimizer(model)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of decaying parameters, without scalars such as a learned temperature."""
        numbers = {name for name, parameter in model.named_parameters() if parameter.numel() == 1}
        return [name for name in super().get_decay_parameter_names(model) if name not in numbers]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute the loss and collect its parts (`*_loss` of the output) for the log."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        # `others` holds the losses of objectives without a field in the output
        if model.training and hasattr(outputs, "items"):
            for name, value in {**outputs, **(outputs.get("others") or {})}.items():
                if name.endswith("_loss") and torch.is_tensor(value) and value.ndim == 0:
                    self._loss_parts[name].append(value.detach())  # kept on the device: no sync a step
        return (loss, outputs) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save the training arguments also as JSON, without tokens, and the code of models for the Hub.

        Loading the pickle that transformers writes can run any code. Weights on the Hub without their code
        load only where eeg_hf is installed.
        """
        trained: Any = self.model
        broken = [name for name, weight in trained.named_parameters() if not weight.isfinite().all()]
        if broken:
            raise ValueError(
                f"{len(broken)} weights are not finite, the first is {broken[0]}: nothing is saved; resume "
                "from the last checkpoint with a lower learning rate"
            )
        token, self.args.hub_token = self.args.hub_token, None  # Trainer would pickle it
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.args.hub_token = token
        if not self.args.should_save:  # another process makes the folder, maybe later
            return
        folder = Path(output_dir or str(self.args.output_dir))
        if self.seen_windows is not None:
            self.seen_windows.save(folder)
        (folder / "training_args.json").write_text(self.args.to_json_string(), encoding="utf-8")
        if folder.name.startswith(PREFIX_CHECKPOINT_DIR):
            (folder / RUN_SETTINGS).write_text(json.dumps(self._run_settings), encoding="utf-8")
        model = self.accelerator.unwrap_model(self.model)
        if self.args.push_to_hub and isinstance(model, PreTrainedModel):
            extractor = self.processing_class
            add_code(model, folder, extractor if isinstance(extractor, FeatureExtractionMixin) else None)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log, adding the mean of each part of the loss since the last training log.

        Raises:
            ValueError: If the loss is no longer a number. It is looked at where it is logged: a look at every
                step would wait for the GPU.
        """
        if not math.isfinite(logs.get("loss", 0.0)):
            raise ValueError(
                f"the loss is {logs['loss']} at step {self.state.global_step}: lower the learning rate or "
                "max_grad_norm, or train in float32; the last checkpoint holds the weights before"
            )
        if "loss" in logs:  # a training log; those of evaluations have eval_loss
            logs.update(
                {name: torch.stack(values).mean().item() for name, values in self._loss_parts.items()}
            )
            self._loss_parts.clear()
        super().log(logs, *args, **kwargs)


def refuse_lone_process(args: TrainingArguments) -> None:
    """Raise a ValueError if one of several launched processes sees no others.

    This happens without a GPU unless CPUs were requested; all processes would write into one folder.
    """
    launched = int(os.environ.get("WORLD_SIZE", 1))
    if launched > 1 and args.world_size == 1:
        raise ValueError(
            f"launched as one of {launched} processes that do not see each other (there is no GPU): to "
            "train on CPUs set ACCELERATE_USE_CPU=true"
        )

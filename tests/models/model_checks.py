# SPDX-License-Identifier: Apache-2.0
"""What every model passes: add a tiny one to `CASES`, and a check of all of them to `CHECKS`."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    TorchAoConfig,
)

from eeg_hf import (
    EEGCLIPConfig,
    EEGConvTransformerConfig,
    EEGFoundationConfig,
    EEGFSQConfig,
    EEGMaskedVAEConfig,
    create_model,
)


@dataclass(frozen=True)
class Case:
    """A tiny model, what opens it, and two windows that it takes."""

    name: str
    auto_class: type
    config: PreTrainedConfig
    inputs: dict[str, torch.Tensor | dict[str, torch.Tensor]]
    has_loss: bool = True
    never_learned: tuple[str, ...] = field(default=())  # with these inputs
    relating: tuple[str, ...] = field(default=())  # inputs without which windows stand by themselves
    between: tuple[str, ...] = field(default=())  # outputs that are about pairs of windows

    def build(self, seed: int = 0) -> PreTrainedModel:
        torch.manual_seed(seed)
        return self.auto_class.from_config(self.config).eval()


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


ENCODER = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
FOUNDATION = EEGFoundationConfig(**ENCODER, dropout=0.0, contrastive_weight=0.0, num_labels=3)
WINDOWS = {
    "input_values": draw(2, 19, 600),
    "channel_mask": torch.arange(19).lt(15).expand(2, -1),
    "attention_mask": torch.arange(600).lt(500).expand(2, -1),
}
HIDDEN = torch.zeros(2, 19, 600, dtype=torch.bool)
HIDDEN[:, ::3, 100:300] = True
CODEC = {
    "patch_size": 40,
    "hidden_dims": [24],
    "levels": [8, 5, 3],
    "conv_channels": [4, 8],
    "conv_strides": [4, 2],
    "conditioning_dim": 8,
}
MOMENTS = {  # two people at two seconds of one film
    "stimulus_ids": torch.tensor([3, 3, 3, 3]),
    "stimulus_seconds": torch.tensor([0.0, 0.0, 9.0, 9.0]),
    "subject_ids": torch.tensor([1, 2, 1, 2]),
}
TARGETS = {"age": torch.tensor([9.0, 14.0, torch.nan, 8.0]), "sex": torch.tensor([0, 1, -100, 1])}
PEOPLE = {
    "input_values": draw(4, 19, 600),
    "channel_mask": torch.arange(19).lt(15).expand(4, -1),
    "attention_mask": torch.arange(600).lt(500).expand(4, -1),
    "mask": torch.cat([HIDDEN, HIDDEN]),
    "auxiliary_targets": TARGETS,
    **MOMENTS,
}
SECOND_ORDER = {
    "dropout": 0.0,
    "classifier_dropout": 0.0,
    "contrastive_weight": 0.0,
    "second_order": True,
    "second_order_bands": [[1, 4], [8, 13], [13, 30]],
    "second_order_stretch_seconds": 1.0,
}
BANDS = EEGFoundationConfig(
    **ENCODER,
    **SECOND_ORDER,
    second_order_basis="harmonics",
    objectives={"masked_bands": {}},
)
BAND_NOISE = torch.tensor([[0.1, 0.5, 0.7], [0.9, 0.2, 0.6]])
ABOUT_PEOPLE = EEGFoundationConfig(
    **ENCODER,
    dropout=0.0,
    classifier_dropout=0.0,
    learnable_temperature=True,
    projection_batch_norm=True,
    auxiliary_tasks={"age": {"num_outputs": 1, "mean": 10.0, "std": 3.0}, "sex": {"num_outputs": 2}},
)
PREDICTS_CODES = EEGFoundationConfig(
    **ENCODER,
    **{"dropout": 0.0, "overlap": 0.0, "patch_size": 100, "contrastive_weight": 0.0, "scale_factors": [1, 2]},
    **{"target": "both", "code_levels": [4, 3, 5], "codes_per_patch": 2},
)
RATES = torch.tensor([160.0, 500.0])
CONV_TRANSFORMER = {**ENCODER, "num_channels": 19, "conv_size": 16, "dropout": 0.0}
PAIRED = {"vision_dim": 12, "projection_dim": 8, "projection_hidden_size": 16, "dropout": 0.0}
IMAGES = {"image_embeds": draw(2, 12), "image_ids": torch.tensor([5, 7])}
MASKED_VAE = EEGMaskedVAEConfig(**ENCODER, num_decoder_layers=1, latent_size=8)


def adapter_case(name: str) -> Case:
    """Return a model that brings the 19 electrodes to 24 places and back."""
    places = 0.1 * torch.nn.functional.normalize(draw(24, 3), dim=-1)
    config = EEGFoundationConfig(
        **ENCODER,
        dropout=0.0,
        contrastive_weight=0.0,
        channel_adapter=name,
        adapter_channel_positions=places.tolist(),
        adapter_size=8,
        adapter_heads=2,
    )
    inputs = {**WINDOWS, "mask": HIDDEN}
    return Case(f"foundation-{name}", AutoModelForPreTraining, config, inputs)


LATENT_HEADS = tuple(
    f"{head}.{name}" for head in ("mean_head", "log_variance_head") for name in ("weight", "bias")
)
GUESS = tuple(
    f"embeddings.spatial_guess.{name}"
    for name in ("noise", "dense.weight", "dense.bias", "out.weight", "out.bias")
)

CASES = [
    Case("foundation", AutoModel, FOUNDATION, WINDOWS, has_loss=False),
    Case("foundation-pretraining", AutoModelForPreTraining, FOUNDATION, {**WINDOWS, "mask": HIDDEN}),
    Case(
        "foundation-codes",
        AutoModelForPreTraining,
        PREDICTS_CODES,
        {**WINDOWS, "mask": HIDDEN, "code_indices": torch.arange(2 * 19 * 12).view(2, 19, 12) % 60},
    ),
    Case(
        "foundation-classification",
        AutoModelForSequenceClassification,
        FOUNDATION,
        {**WINDOWS, "labels": torch.tensor([0, 2])},
    ),
    Case(
        "foundation-second-order",
        AutoModelForSequenceClassification,
        EEGFoundationConfig(**ENCODER, **SECOND_ORDER, num_labels=3),
        {**WINDOWS, "labels": torch.tensor([0, 2])},
    ),
    Case(
        "foundation-bands",
        AutoModelForPreTraining,
        BANDS,
        {**WINDOWS, "mask": HIDDEN, "band_noise": BAND_NOISE},
        between=("others",),  # a loss is among them
    ),
    Case(
        "foundation-people",
        AutoModelForPreTraining,
        ABOUT_PEOPLE,
        PEOPLE,
        relating=tuple(MOMENTS),
    ),
    *(adapter_case(name) for name in ("perceiver", "spline", "zero_pad")),
    Case("codec-mlp", AutoModel, EEGFSQConfig(**CODEC), WINDOWS),
    Case(
        "codec-conv",
        AutoModel,
        EEGFSQConfig(**CODEC, architecture="conv", activation="snake", use_conditioning=True),
        {**WINDOWS, "sampling_rate": RATES},
    ),
    Case(
        "masked-vae",
        AutoModel,
        MASKED_VAE,
        WINDOWS,
        has_loss=False,
        never_learned=(*GUESS, *LATENT_HEADS),  # nothing is hidden; pooled is what comes before the last
    ),
    Case("masked-vae-pretraining", AutoModelForPreTraining, MASKED_VAE, {**WINDOWS, "mask": HIDDEN}),
    *(
        Case(
            f"conv-transformer-{pool}",
            AutoModel,
            EEGConvTransformerConfig(**CONV_TRANSFORMER, temporal_pool=pool),
            WINDOWS,
            has_loss=False,
        )
        for pool in ("cls", "mean", "max")
    ),
    Case(
        "clip",
        AutoModel,
        EEGCLIPConfig(eeg_config=CONV_TRANSFORMER, **PAIRED),
        {**WINDOWS, **IMAGES},
        relating=("image_ids",),
        between=("logits_per_eeg",),
    ),
    Case(
        "clip-foundation",
        AutoModel,
        EEGCLIPConfig(eeg_config=FOUNDATION, vision_projection="linear", **PAIRED),
        {**WINDOWS, **IMAGES},
        relating=("image_ids",),
        between=("logits_per_eeg",),
    ),
]


def assert_same_outputs(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if isinstance(tensor, dict):
            assert_same_outputs(found[name], tensor)
        elif torch.is_tensor(tensor):
            torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


def first_row(values: dict) -> dict:
    return {name: first_row(each) if isinstance(each, dict) else each[:1] for name, each in values.items()}


def check_saving_loses_nothing(case: Case, folder: Path) -> None:
    model = case.build()
    model.save_pretrained(folder)
    loaded, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    for kind in ("named_parameters", "named_buffers"):  # also buffers that are not saved
        found, expected = (dict(getattr(either, kind)()) for either in (loaded, model))
        assert found.keys() == expected.keys()
        assert not [name for name in expected if not torch.equal(found[name], expected[name])]
    assert_same_outputs(loaded(**case.inputs), model(**case.inputs))


def check_auto_classes_open_it(case: Case, folder: Path) -> None:
    model = case.build()
    model.save_pretrained(folder)
    assert type(case.auto_class.from_pretrained(folder)) is type(model)
    assert type(AutoConfig.from_pretrained(folder)) is type(case.config)
    assert type(AutoModel.from_pretrained(folder)) is type(create_model(case.config.model_type, ENCODER))


def check_the_same_seed_gives_the_same_bits(case: Case, folder: Path) -> None:
    first, second = case.build(), case.build()
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    other = case.build(seed=1)
    assert not all(map(torch.equal, first.parameters(), other.parameters()))
    outputs, again = first(**case.inputs), second(**case.inputs)
    assert all(torch.equal(again[name], outputs[name]) for name in outputs if torch.is_tensor(outputs[name]))


def check_a_window_does_not_depend_on_its_batch(case: Case, folder: Path) -> None:
    model = case.build()
    inputs = {name: value for name, value in case.inputs.items() if name not in case.relating}
    alone, together = model(**first_row(inputs)), model(**inputs)
    rows = {
        name: value
        for name, value in together.items()
        if name not in case.between
        and (isinstance(value, dict) or (torch.is_tensor(value) and value.ndim > 1))
    }
    assert rows
    assert_same_outputs({name: alone[name] for name in rows}, first_row(rows))


def check_what_is_padding_reaches_no_loss(case: Case, folder: Path) -> None:
    model, values = case.build(), case.inputs["input_values"].clone()
    values[:, 15:] = torch.nan
    values[..., 500:] = torch.nan
    outputs, expected = (
        model(**{**case.inputs, "input_values": v}) for v in (values, case.inputs["input_values"])
    )
    name = "loss" if case.has_loss else "pooler_output"
    assert expected[name].isfinite().all()
    torch.testing.assert_close(outputs[name], expected[name], atol=1e-6, rtol=0)


def check_an_empty_batch_is_one_clear_line(case: Case, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^input_values: expected one window and one channel or more, got"):
        case.build()(case.inputs["input_values"][:0])


def check_every_parameter_gets_a_gradient(case: Case, folder: Path) -> None:
    model = case.build().train()
    outputs = model(**case.inputs)
    (outputs.loss if case.has_loss else outputs.pooler_output.sum()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == set(case.never_learned)
    assert all(
        parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None
    )


def main_output(case: Case, outputs: dict) -> torch.Tensor:
    return outputs["loss" if case.has_loss else "pooler_output"].float()


def assert_near(found: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    assert found.isfinite().all()
    assert (found - expected).norm() < share * expected.norm()


def check_autocast_stays_near(case: Case, folder: Path) -> None:
    model = case.build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(**case.inputs)
    assert_near(main_output(case, rounded), main_output(case, model(**case.inputs)), 0.1)


def check_half_precision_takes_what_float32_takes(case: Case, folder: Path) -> None:
    model = case.build()
    expected = main_output(case, model(**case.inputs))
    model.save_pretrained(folder)
    for dtype in (torch.bfloat16, torch.float16):
        loaded = type(model).from_pretrained(folder, dtype=dtype)
        outputs = loaded(**case.inputs)
        assert loaded.dtype == dtype
        assert_near(main_output(case, outputs), expected, 0.05)
        halved = {name: cast(value, dtype) for name, value in case.inputs.items()}
        assert_near(main_output(case, loaded(**halved)), expected, 0.05)
        loaded.save_pretrained(folder / str(dtype))
        again = type(model).from_pretrained(folder / str(dtype))
        assert again.dtype == dtype
        assert_same_outputs(again(**case.inputs), outputs)


def cast(value: torch.Tensor | dict, dtype: torch.dtype) -> torch.Tensor | dict:
    return value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value


def check_dynamic_int8_stays_near(case: Case, folder: Path) -> None:
    model = case.build()
    expected = main_output(case, model(**case.inputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have us use torchao
        quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    assert any(isinstance(each, torch.ao.nn.quantized.dynamic.Linear) for each in quantized.modules())
    assert_near(main_output(case, quantized(**case.inputs)), expected, 0.1)


def check_torchao_int8_stays_near(case: Case, folder: Path) -> None:
    torchao = pytest.importorskip("torchao.quantization")
    model = case.build()
    expected = main_output(case, model(**case.inputs))
    model.save_pretrained(folder)
    plan = TorchAoConfig(torchao.Int8WeightOnlyConfig(), include_input_output_embeddings=True)
    quantized = type(model).from_pretrained(folder, quantization_config=plan)
    linear = [each for each in quantized.modules() if type(each) is torch.nn.Linear]
    assert linear and all("int8" in repr(each.weight) for each in linear)
    found = main_output(case, quantized(**case.inputs))
    assert_near(found, expected, 0.05)
    if all("." in name for name in model.state_dict()):  # torchao cannot read files of others
        quantized.save_pretrained(folder / "int8")
        loaded = type(model).from_pretrained(folder / "int8")
        assert_same_outputs(loaded(**case.inputs), quantized(**case.inputs))
    torchao.quantize_(model, torchao.Int8WeightOnlyConfig())
    assert_near(main_output(case, model(**case.inputs)), found, 1e-5)


def check_it_runs_from_disk(case: Case, folder: Path) -> None:
    model = case.build()
    model.save_pretrained(folder)
    offloaded = type(model).from_pretrained(folder, device_map={"": "disk"}, offload_folder=folder / "off")
    assert all(parameter.is_meta for parameter in offloaded.parameters())
    assert_same_outputs(offloaded(**case.inputs), model(**case.inputs))


def check_fsdp2_shards_it(case: Case, folder: Path) -> None:
    model, plain = case.build().train(), case.build().train()
    with one_process():
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        for module in model.modules():
            if type(module).__name__ in model._no_split_modules:
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for each in (model, plain):
            torch.manual_seed(0)
            main_output(case, each(**case.inputs)).sum().backward()
        for (name, found), expected in zip(model.named_parameters(), plain.parameters(), strict=True):
            assert (found.grad is None) == (expected.grad is None), name
            if expected.grad is not None:
                torch.testing.assert_close(found.grad.full_tensor(), expected.grad, msg=name)


@contextmanager
def one_process() -> Iterator[None]:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def check_an_export_takes_batches_of_any_size(case: Case, folder: Path) -> None:
    model = case.build()
    names = ("input_values", "channel_mask", "attention_mask", "mask", "sampling_rate", "image_embeds")
    inputs = {name: case.inputs[name] for name in names if name in case.inputs}
    sizes = {name: {0: torch.export.Dim.DYNAMIC} for name in inputs}
    exported = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=sizes, strict=False).module()
    larger = {name: torch.cat([value, value.flip(0), value]) for name, value in inputs.items()}
    assert_same_outputs(exported(**larger), model(**larger))


def check_it_answers_as_a_tuple(case: Case, folder: Path) -> None:
    model = case.build()
    as_tuple = model(**case.inputs, return_dict=False)
    assert isinstance(as_tuple, tuple)
    for value, expected in zip(as_tuple, model(**case.inputs).to_tuple(), strict=True):
        assert not torch.is_tensor(expected) or torch.equal(value, expected)


def check_it_compiles_as_one_graph(case: Case, folder: Path) -> None:
    torch.compiler.reset()
    model = case.build()
    # aot_eager captures the graph as inductor does, without its minute in the C++ compiler
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_same_outputs(compiled(**case.inputs), model(**case.inputs))


CHECKS: list[Callable[[Case, Path], None]] = [
    check_saving_loses_nothing,
    check_auto_classes_open_it,
    check_the_same_seed_gives_the_same_bits,
    check_a_window_does_not_depend_on_its_batch,
    check_what_is_padding_reaches_no_loss,
    check_an_empty_batch_is_one_clear_line,
    check_every_parameter_gets_a_gradient,
    check_autocast_stays_near,
    check_half_precision_takes_what_float32_takes,
    check_dynamic_int8_stays_near,
    check_torchao_int8_stays_near,
    check_it_runs_from_disk,
    check_fsdp2_shards_it,
    check_an_export_takes_batches_of_any_size,
    check_it_answers_as_a_tuple,
    check_it_compiles_as_one_graph,
]

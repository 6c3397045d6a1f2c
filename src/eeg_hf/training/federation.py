# SPDX-License-Identifier: Apache-2.0
"""Federated training by Flower: encoders are averaged, everything else stays where it is.

A client is a laboratory with its own recordings and montage. In every round it trains on them from the
encoder of the server and sends its own back; the server takes the mean, weighted by windows (FedAvg,
https://arxiv.org/abs/1602.05629). Heads, and the statistics that recentre second-order tokens, never leave:
the latter describe the people recorded there.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

TrainAtHome = Callable[[int, Mapping[str, torch.Tensor]], tuple[PreTrainedModel, int]]
"""Trains client number i from the weights of the server; returns its model and the number of its windows."""


def shared_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return what may leave a client: the parameters of the encoder, and so no statistic and no head.

    Args:
        model: An encoder such as [`EEGFoundationModel`], or a model with one and heads.
    """
    return {name: weight.detach().cpu() for name, weight in model.base_model.named_parameters()}


@torch.no_grad()
def take_shared_weights(model: PreTrainedModel, weights: Mapping[str, torch.Tensor]) -> None:
    """Take the encoder of the server, and leave heads and statistics as they are.

    Args:
        model: As in `shared_weights`.
        weights: What `shared_weights` returned elsewhere.

    Raises:
        ValueError: If names or shapes are those of another encoder.
    """
    own = dict(model.base_model.named_parameters())
    wrong = sorted(own.keys() ^ weights.keys()) or [
        name for name, weight in own.items() if weight.shape != weights[name].shape
    ]
    if wrong:
        raise ValueError(
            f"expected the weights of an encoder like this one, got others in {len(wrong)}, the first is "
            f"{wrong[0]}: all clients need one config; with second-order tokens take "
            "second_order_basis='harmonics', which no montage changes"
        )
    for name, weight in own.items():
        weight.copy_(weights[name])


def federated_client(train: TrainAtHome) -> Any:
    """Return the `flwr.clientapp.ClientApp` that trains at home and sends the encoder back.

    Args:
        train: See [`TrainAtHome`]. What else a client keeps, it keeps itself.

    Raises:
        ImportError: If Flower is not installed.
    """
    flwr = import_flwr()
    client = flwr.clientapp.ClientApp()

    @client.train()
    def train_at_home(message: Any, context: Any) -> Any:
        weights = message.content["arrays"].to_torch_state_dict()
        model, num_windows = train(int(context.node_config["partition-id"]), weights)
        answer = {
            "arrays": flwr.app.ArrayRecord(shared_weights(model)),
            "metrics": flwr.app.MetricRecord({"num-examples": num_windows}),
        }
        return flwr.app.Message(flwr.app.RecordDict(answer), reply_to=message)

    return client


def federated_server(
    model: PreTrainedModel, num_rounds: int, num_clients: int, output_dir: Path | str
) -> Any:
    """Return the `flwr.serverapp.ServerApp` that averages encoders and saves their mean.

    Args:
        model: Its encoder is the first one of all clients.
        num_rounds: How often all clients train.
        num_clients: How many there are; a round waits for all of them.
        output_dir: Folder for the encoder.

    Raises:
        ImportError: If Flower is not installed.
    """
    flwr = import_flwr()
    server = flwr.serverapp.ServerApp()

    @server.main()
    def average(grid: Any, context: Any) -> None:
        everybody = dict.fromkeys(("min_train_nodes", "min_available_nodes"), num_clients)
        strategy = flwr.serverapp.strategy.FedAvg(fraction_evaluate=0.0, **everybody)
        first = flwr.app.ArrayRecord(shared_weights(model))
        result = strategy.start(grid=grid, initial_arrays=first, num_rounds=num_rounds)
        take_shared_weights(model, result.arrays.to_torch_state_dict())
        encoder: Any = model.base_model
        encoder.save_pretrained(output_dir)

    return server


def import_flwr() -> Any:
    """Return the package, or raise an ImportError that says how to install it."""
    try:
        import flwr
        import flwr.app
        import flwr.clientapp
        import flwr.serverapp.strategy
    except ModuleNotFoundError as error:
        raise ImportError('flwr is not installed: pip install "eeg-hf[federated]"') from error
    return flwr


__all__ = ["TrainAtHome", "federated_client", "federated_server", "shared_weights", "take_shared_weights"]

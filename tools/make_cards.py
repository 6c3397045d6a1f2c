# SPDX-License-Identifier: Apache-2.0
"""Write the model cards from their facts, or gather the facts of a run.

    python tools/make_cards.py                  # model_cards/<name>.md from model_cards/facts/<name>.json
    python tools/make_cards.py --check true     # exit code 1 where a card is not what its facts give
    python tools/make_cards.py --from_run runs/cv/pretrained/fold-0 --pretrained runs/cv/encoder-0 \
        --finetuning_data runs/data/eegmat --pretraining_data runs/data/eegmat \
        --evaluation_data runs/data/eegmat --evaluation runs/table --own pretrained scratch \
        --saw_test_subjects false --hardware "1 core of an AMD EPYC" --watts 15
    python tools/make_cards.py --from_run runs/codec/mlp --pretraining_data runs/data/eegmat \
        --evaluation_data runs/data/eegmat --evaluation runs/codecs --own "mlp, relu" \
        --saw_test_subjects false
    python tools/make_cards.py --from_run runs/masked_vae-0 --pretraining_data runs/data/eegmat \
        --evaluation_data runs/data/eegmat --evaluation runs/infilling --own "masked VAE" \
        --saw_test_subjects false
    python tools/make_cards.py --from_run runs/clip --pretraining_data runs/data/simulated_things \
        --evaluation_data runs/data/simulated_things --own EEG-CLIP --saw_test_subjects true \
        --evaluation runs/comparison.json runs/averaged.json

What a run did not record stands in its card as not recorded. `--evaluation` is the folder that
eeg-hf evaluate or eeg-hf evaluate-infilling left, or files of eeg-hf eval-retrieval. One of a
single method has the name of that before it, `"ridge regression=runs/ridge.json"`; without a name it is this
model. Of each method there can be one of single trials and one of averages.
"""

import sys
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from transformers.utils import logging

from eeg_hf.cli.parsing import Command
from eeg_hf.hub import CardFacts, facts_from_run, model_card

logger = logging.get_logger("eeg_hf.make_cards")


@dataclass
class CardArguments:
    """Which cards, and what a run's files cannot tell."""

    folder: str = field(default="model_cards", metadata={"help": "Holds the cards, and facts/ beside them."})
    check: bool = field(default=False, metadata={"help": "Write nothing; fail where a card is out of date."})
    from_run: str | None = field(default=None, metadata={"help": "Folder of a model to gather facts of."})
    name: str | None = field(default=None, metadata={"help": "Name of its card; default: the architecture."})
    title: str | None = field(default=None, metadata={"help": "Heading of its card."})
    pretrained: list[str] = field(
        default_factory=list, metadata={"help": "Folders of the training stages before, in order."}
    )
    pretraining_data: list[str] = field(
        default_factory=list,
        metadata={"help": "Prepared corpora it was trained on without labels."},
    )
    finetuning_data: list[str] = field(
        default_factory=list, metadata={"help": "Prepared corpora it was fine-tuned on."}
    )
    evaluation_data: list[str] = field(
        default_factory=list, metadata={"help": "Prepared corpora it was tested on."}
    )
    evaluation: list[str] = field(
        default_factory=list,
        metadata={"help": "Folder of a script that evaluates, or files of retrieval, also method=file."},
    )
    own: list[str] = field(
        default_factory=list, metadata={"help": "Methods or codecs of its table that are this model."}
    )
    saw_test_subjects: bool | None = field(
        default=None, metadata={"help": "Whether people tested were in the pretraining; unknown if left out."}
    )
    weights: str | None = field(
        default=None, metadata={"help": "What the weights have to do with the results."}
    )
    caveats: list[str] = field(default_factory=list, metadata={"help": "What else a reader must know."})
    hub_ids: list[str] = field(
        default_factory=list, metadata={"help": "corpus=org/name of its dataset repository."}
    )
    hardware: str | None = field(default=None, metadata={"help": "What it was trained on."})
    watts: float | None = field(default=None, metadata={"help": "Power of that, for the energy estimate."})


def run(args: CardArguments) -> None:
    """Gather, write or check."""
    folder = Path(args.folder)
    if args.from_run:
        facts = gather(args)
        path = folder / "facts" / f"{args.name or facts.architecture}.json"
        facts.write(path)
        logger.warning(f"{path}: facts of {args.from_run}, contamination {facts.contamination}")
    found = sorted((folder / "facts").glob("*.json"))
    if not found:
        raise FileNotFoundError(f"{folder / 'facts'} holds no facts: gather them with --from_run")
    for path in found:
        text, card = model_card(CardFacts.read(path)), folder / f"{path.stem}.md"
        if args.check:
            refuse_difference(card, text, path)
        else:
            card.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{card}\n")


def gather(args: CardArguments) -> CardFacts:
    """Read the facts of a run from its folders."""
    return facts_from_run(
        args.from_run,
        title=args.title,
        data={
            "pretraining": args.pretraining_data,
            "fine-tuning": args.finetuning_data,
            "evaluation": args.evaluation_data,
        },
        evaluation=read_evaluation(args.evaluation),
        own_methods=args.own,
        pretrained=args.pretrained,
        saw_test_subjects=args.saw_test_subjects,
        weights=args.weights,
        caveats=args.caveats,
        hub_ids=dict(pair.split("=", 1) for pair in args.hub_ids),
        hardware=args.hardware,
        watts=args.watts,
    )


def read_evaluation(given: list[str]) -> str | list[tuple[str, str]] | None:
    """Take names and files apart; one folder or file stands for itself."""
    if len(given) < 2 and "=" not in "".join(given):
        return given[0] if given else None
    return [(name, path) if path else ("", name) for name, _, path in (each.partition("=") for each in given)]


def refuse_difference(card: Path, expected: str, facts: Path) -> None:
    """Fail at the first line where a card is not what its facts give."""
    found = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    for number, (got, wanted) in enumerate(zip_longest(found, expected.splitlines()), start=1):
        if got != wanted:
            raise ValueError(
                f"{card}:{number}: expected {wanted!r} from {facts}, got {got!r}: run tools/make_cards.py"
            )


main = Command("make_cards", __doc__ or "", run, (CardArguments,), program="tools")

if __name__ == "__main__":
    main()

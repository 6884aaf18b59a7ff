"""A model to the Hugging Face Hub, whole and with its card; from there `--model user/name` takes it.

In: a run, or a model folder, also one that is put together of parts elsewhere, and what was measured of it. Out: a
repository of the Hub, or a folder to look at first: config.json, model.safetensors, tokenizer.json and sampling.json
where the model has them, README.md (the card).

    python -m vlpt.publish --model pretrained/agent --half --evidence docs/evidence.json --out runs/to_publish
    python -m vlpt.publish --model runs/demo/joint --to user/name         # a token: `hf auth login`, or HF_TOKEN

The card says what the records beside the model say (options.json, done.json) and what the evidence says, which must be
of this model; docs/play.md tells the whole way.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from vlpt.checkpoint import SAMPLING, agent_key, model_folder, model_kind
from vlpt.files import check_writable, read_json, read_text, whole_folder, write_text
from vlpt.joints import Joints
from vlpt.language.decoder import Decoder
from vlpt.language.transformer_xl import TransformerXL
from vlpt.model import VLPT
from vlpt.model_card import evidence_sections, training_sections
from vlpt.options import run
from vpt.hub import NAME, push_saved
from vpt.idm import IDM
from vpt.model_card import model_card
from vpt.policy import Policy

CLASSES = {kind.__name__: kind for kind in (VLPT, Policy, IDM, TransformerXL, Decoder, Joints)}
BESIDE = ("tokenizer.json", SAMPLING)  # what a model folder may hold beside the model


@dataclass(frozen=True)
class Options:
    """Push a model to the Hugging Face Hub, whole, with a card of what was measured."""

    model: str  # a run of train.py, or a model folder
    to: str = ""  # the Hub's repository, user/name; it is made where it is not there
    out: str = ""  # folder to write instead, to look at
    evidence: str = ""  # numbers of evidence.py on this very model, as docs/evidence.json; without: its run's own
    about: str = ""  # Markdown file whose text goes into the card before the numbers: data, limits, thanks
    licence: str = "mit"  # of the weights, by the Hub's short name
    half: bool = False  # weights in half precision
    private: bool = False  # a new repository is seen by you alone

    def __post_init__(self) -> None:
        if bool(self.to) == bool(self.out):
            raise ValueError("say where to: --to user/name on the Hugging Face Hub, or --out for a folder")
        if self.to and not NAME.fullmatch(self.to):
            raise ValueError(f"--to takes a name on the Hugging Face Hub, user/name, not {self.to!r}")
        if self.private and not self.to:
            raise ValueError("--private is for --to: a folder has its own permissions")


def publish(options: Options) -> str:
    """Writes the folder, or pushes it; returns where it is. Raises ValueError for a model or record that is wrong."""
    folder = model_folder(options.model)
    kind = model_kind(folder)
    if kind not in CLASSES:
        raise ValueError(f"{options.model} holds a {kind}: what can be published is {', '.join(CLASSES)}")
    model = CLASSES[kind].from_pretrained(folder)
    text = card(options, model)

    def save(target: Path) -> None:
        model.save_pretrained(target, half=options.half)
        for name in BESIDE:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, target / name)

    if options.to:
        place = push_saved(save, options.to, text, private=options.private or None)
    else:
        check_writable(options.out)
        with whole_folder(options.out) as unfinished:
            save(unfinished)
            write_text(unfinished / "README.md", text)
        place = options.out
    print(f"{options.model}: {kind}, published as {place}")
    return place


def card(options: Options, model) -> str:
    """The repository's README.md."""
    sections = [read_text(options.about).strip()] if options.about else []
    sections += training_sections(options.model)
    if options.evidence:
        evidence = read_json(options.evidence)
        if evidence.get("weights") not in (None, agent_key(options.model)):
            raise ValueError(f"{options.evidence} is of other weights than {options.model}: measure them (evidence.py)")
        sections += evidence_sections(evidence)
    return model_card(model, options.to or f"user/{Path(options.out).name}", sections, options.licence)


if __name__ == "__main__":
    run(publish, Options)

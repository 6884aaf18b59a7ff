"""The card of a model on the Hugging Face Hub, its README.md: front matter, what it is, its sizes, how to load it.

In: a model, and sections that know more: how it was trained, what was measured (vlpt/model_card.py). Out: Markdown.

    policy.push_to_hub("user/name", card=model_card(policy, name="user/name", sections=[told]))

Without sections the card says that nothing is known of the model's training and worth, rather than nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict

from huggingface_hub import ModelCardData

KINDS = {  # class: what it is, and the line that loads it
    "Policy": ("VPT's agent: it sees 128×128 pictures, 20 a second, and presses keys and moves the mouse.",
               "from vpt.policy import Policy\n\nmodel = Policy.from_pretrained({name!r})"),
    "IDM": ("VPT's inverse dynamics model: it sees a film's past and future and says which keys lie between; it labels "
            "video.",
            "from vpt.idm import IDM\n\nmodel = IDM.from_pretrained({name!r})"),
    "VLPT": ("VPT and a language model that condition on each other: it sees 128×128 pictures, 20 a second, presses "
             "keys, moves the mouse, and hears and says words.",
             "from vlpt.agent import Agent\n\nagent = Agent.from_pretrained({name!r})"),
    "TransformerXL": ("A language model, a Transformer-XL.",
                      "from vlpt.language.transformer_xl import TransformerXL\n\n"
                      "model = TransformerXL.from_pretrained({name!r})"),
    "Decoder": ("A language model, a decoder with rotary positions.",
                "from vlpt.language.decoder import Decoder\n\nmodel = Decoder.from_pretrained({name!r})"),
    "Joints": ("What joins an agent and a language model: silence, two gated cross attentions, a reader of intentions.",
               "from vlpt.joints import Joints\n\njoints = Joints.from_pretrained({name!r})"),
}  # fmt: skip
UNKNOWN = """## Training and results

Nothing is known here of how it was trained or what it can do: it was pushed without the record of its run."""


def model_card(model, name: str = "user/name", sections: Sequence[str] = (), licence: str = "mit") -> str:
    """The card as Markdown. model: any of KINDS; name: of the repository; sections: each begins with its heading."""
    kind = type(model).__name__
    what, loading = KINDS[kind]
    front = ModelCardData(license=licence, library_name="vlpt", pipeline_tag="robotics", tags=["vpt", "vlpt", kind])
    return "\n\n".join([
        f"---\n{front.to_yaml()}\n---", f"# {name.partition('/')[2]}", what,
        f"With VLPT installed (`pip install -e .` in its repository):\n\n```python\n{loading.format(name=name)}\n```",
        *(sections or [UNKNOWN]), sizes(model), licence_of(licence),
    ]) + "\n"  # fmt: skip


def sizes(model) -> str:
    """The number of parameters and every setting that the model is built from."""
    count = sum(parameter.numel() for parameter in model.parameters())
    rows = "\n".join(f"| {key} | {value} |" for key, value in flat(asdict(model.config)).items())
    return f"## Sizes\n\n{count:,} parameters.\n\n| setting | value |\n|---|---|\n{rows}"


def licence_of(licence: str) -> str:
    """Which licence, and what it does not cover."""
    return f"## Licence\n\n{licence}, for these weights; the recordings that they were trained on keep their own."


def flat(content: dict, before: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, object] = {}
    for key, value in content.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found

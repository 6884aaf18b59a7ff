"""Stage language: the language model and cross attention 1 (words ask frames); starts from base and words.

In: shards, an agent and a language model. Out: the fused model, which acts as the agent did.
"""

from dataclasses import dataclass

from vlpt.training.joined import Joined, JoinedOptions, WordsAreTrained


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(WordsAreTrained, JoinedOptions):
    """The language model and cross attention 1 (words ask frames)."""

    stage = "language"


class Language(Joined):
    """What counts is what is said."""

    Options = LanguageOptions

    def weights(self) -> dict[str, float]:
        return {"token": self.options.token_weight, "silence": self.options.silence_weight}

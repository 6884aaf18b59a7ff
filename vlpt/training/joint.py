"""Stage joint: all that the stages language and action train, together.

In: shards, a fused model. Out: the fused model.
"""

from dataclasses import dataclass

from vlpt.training.joined import ActionsAreTrained, Joined, JoinedOptions, WordsAreTrained


@dataclass(frozen=True, kw_only=True)
class JointOptions(ActionsAreTrained, WordsAreTrained, JoinedOptions):
    """Both models and both cross attentions together."""

    stage = "joint"


class Joint(Joined):
    """Everything counts."""

    Options = JointOptions

    def weights(self) -> dict[str, float]:
        options = self.options
        return {"action": 1.0, **self.weights_beside_action(), "token": options.token_weight,
                "silence": options.silence_weight}

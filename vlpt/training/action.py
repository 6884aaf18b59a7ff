"""Stage action: cross attention 2 (frames ask words) and VPT's blocks 2..n; starts from the last stage.

In: shards, a fused model (or an agent and a language model). Out: the fused model, which speaks as before.
"""

from dataclasses import dataclass

from vlpt.training.joined import ActionsAreTrained, Joined, JoinedOptions


@dataclass(frozen=True, kw_only=True)
class ActionOptions(ActionsAreTrained, JoinedOptions):
    """Cross attention 2 (frames ask words) and VPT's blocks 2..n."""

    stage = "action"


class Action(Joined):
    """What counts is what is done."""

    Options = ActionOptions

    def weights(self) -> dict[str, float]:
        return {"action": 1.0, **self.weights_beside_action()}

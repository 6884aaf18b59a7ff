"""The same agent with one sense more: what it did at the frame before, or what moves.

    agent = with_motion(with_last_action(policy), IDM.from_pretrained("pretrained/idm"))

It plays as it did until it has learned to use it: what is made of the new sense starts at 0. The released agents have
neither (vpt/last_action.py, vpt/motion.py).
"""

from dataclasses import replace

from vpt.idm import IDM
from vpt.policy import Policy, PolicyConfig


def with_last_action(policy: Policy) -> Policy:
    """Told what it did at the frame before. One that is told already is returned as it is."""
    if policy.config.last_action:
        return policy
    return _with_more(policy, replace(policy.config, last_action=True))


def with_motion(policy: Policy, idm: IDM) -> Policy:
    """With a motion encoder, which begins as that of an inverse dynamics model.

    Raises ValueError for an agent that has one, and an inverse dynamics model of other sizes than the agent's.
    """
    sizes = [{name: getattr(c, name) for name in ("width", "channels", "px")} for c in (policy.config, idm.config)]
    if policy.config.motion:
        raise ValueError("this agent sees motion already, by an encoder that it has learned to use: leave it as it is")
    if sizes[0] != sizes[1]:
        raise ValueError(f"an inverse dynamics model of sizes {sizes[1]} does not fit an agent of {sizes[0]}: take one "
                         "that was trained at the agent's sizes")  # fmt: skip
    made = _with_more(policy, replace(policy.config, motion=idm.config.conv_channels))
    made.motion.temporal.load_state_dict(idm.temporal.state_dict())
    made.motion.picture.load_state_dict(idm.picture.state_dict())
    return made


def _with_more(policy: Policy, config: PolicyConfig) -> Policy:
    """The agent's weights, and those that are new with this configuration as they are made."""
    made = Policy(config).to(policy.final_norm.weight.device)
    made.load_state_dict(made.state_dict() | policy.state_dict())
    return made.train(policy.training)

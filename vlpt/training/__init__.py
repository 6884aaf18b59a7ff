"""What each stage of training trains: one file a stage, with its options beside it; stage.py is their contract."""

from vlpt.training.action import Action
from vlpt.training.base import Base
from vlpt.training.contrast import Contrast
from vlpt.training.finder import FinderStage
from vlpt.training.idm import InverseDynamics
from vlpt.training.joint import Joint
from vlpt.training.language import Language
from vlpt.training.stage import Stage
from vlpt.training.words import Words

STAGES: dict[str, type[Stage]] = dict(
    idm=InverseDynamics, base=Base, words=Words, contrast=Contrast, finder=FinderStage, language=Language,
    action=Action, joint=Joint,
)  # fmt: skip

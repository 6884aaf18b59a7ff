"""What each stage of training trains: its model, its data, its losses. `train.py` is the loop around one of these.

In: the options of train.py. Out: objects with the same few methods:

    groups(), rates()       parameters by name, and the learning rate of each name
    losses()                the next batch's {name: Part}; the memory of the lanes is carried on, detached
    weights()               how much each loss counts
    validate()              {"valid/<name>": mean over the held-out channels, ...}
    baselines()             {"unigram/<name>": the same losses of constant predictions, on the same data}
    gates()                 {"gate/<name>": tanh of it}
    save(folder, half)      the model, for `from_pretrained`
    state(), load(folder, state): the loader's position and the lanes' memory, for exact resume
"""

from vlpt.training.base import Behaviour
from vlpt.training.fused import Fused
from vlpt.training.idm import InverseDynamics
from vlpt.training.words import Words

STAGES = dict(idm=InverseDynamics, base=Behaviour, words=Words, language=Fused, action=Fused, joint=Fused)

"""Stage contrast: words train the picture encoder, so that its patches hold what people talk about.

In: shards with words, an agent and a language model. Out: the agent with another picture encoder, which goes where any
agent goes (`train.py base --start`, `train.py language --base`). What is learned is which utterance belongs to which
picture (vlpt/training/late_interaction.py). The language model stays as it is; what words and pictures are compared by
is kept for going on, but is no part of the agent. So that the agent's blocks see what they have learned to see, the
encoder as it was before is the teacher of a picture's vector; loss `vector` is the share of its variance that changed.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vlpt.checkpoint import model_folder
from vlpt.clock import Timestamps
from vlpt.data.utterances import UtteranceBatch, UtteranceBatches, Utterances
from vlpt.data.words import load_tokenizer
from vlpt.language.families import load_language
from vlpt.language.interface import LanguageModel
from vlpt.options import Count, NotNegative, Positive
from vlpt.training.diverged import stretches
from vlpt.training.episodes import ShardOptions, read_episodes
from vlpt.training.late_interaction import LateInteraction, contrastive_loss
from vlpt.training.losses import LossPart, LossTotals
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import TOKENIZER, Stage, count_parameters, parameters_apart, prefixed
from vpt.augment import Ranges, augment
from vpt.policy import Policy

# Colours and sides are what words tell apart: hue stays, and nothing is turned or mirrored.
AUGMENTED = Ranges(hue_rad=0, saturation=0.1, rotation_deg=0, scale=0, shear_deg=0, translation_px=4)
SAMPLE = 256  # pictures by which numbers are standardised
TEXTS = 64  # that the language model reads at once


@dataclass(frozen=True, kw_only=True)
class ContrastOptions(ShardOptions):
    """Words train the picture encoder: which utterance belongs to which picture?"""

    stage = "contrast"

    base: str = "pretrained/base"  # the agent whose picture encoder is trained: a run or a model folder
    language: str = "pretrained/words"  # the language model that reads what is said: a run, or a published decoder's
    lanes: Count = 64  # utterances in a batch, each to be told from all others
    chunk: Count = 2  # pictures of each, drawn from twice as many between its beginning and its end
    accumulate: Count = 1  # batches an update of the weights: lanes x chunk x accumulate pictures
    teacher_weight: NotNegative = 1.0  # weight of the change of a picture's vector, as a share of its variance
    rate_pretrained: Positive = 1e-3  # learning rate of the picture encoder
    rate_new: Positive = 3e-3  # learning rate of what words and pictures are compared by
    augment: bool = True  # shift pictures by up to 4 pixels, change brightness, contrast and saturation


class FramesAndWords(nn.Module):
    """What is trained: the picture encoder, and what its patches and words are compared by."""

    def __init__(self, picture: nn.Module, match: LateInteraction) -> None:
        super().__init__()
        self.picture, self.match = picture, match


@dataclass(frozen=True)
class Spoken:
    """Some episodes' utterances, and what the language model makes of each: (L, E)."""

    utterances: Utterances
    texts: list[Tensor]

    def words(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Utterances (N,) -> their tokens (N, L, E), which of them are real (N, L) bool, and which utterances are of
        the same text (N, N) bool."""
        texts = [self.texts[i] for i in index.tolist()]
        tokens = [self.utterances.all[i].tokens for i in index.tolist()]
        real = pad_sequence([torch.ones(len(text), dtype=torch.bool) for text in texts], batch_first=True)
        same = torch.tensor([[one == other for other in tokens] for one in tokens])
        return pad_sequence(texts, batch_first=True), real, same


class Contrast(Stage):
    """Pictures, and the words spoken over them."""

    Options = ContrastOptions
    written = ("policy", "model")

    def __init__(self, options: ContrastOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        self.policy = Policy.from_pretrained(model_folder(options.base)).to(device)
        source, data = model_folder(options.language), read_episodes(options)
        tokenizer, language = load_tokenizer(source / TOKENIZER), load_language(source).to(device)

        def spoken(episodes: Sequence) -> Spoken:
            utterances = Utterances(data.shards, episodes, tokenizer, 2 * options.chunk)
            return Spoken(utterances, read_texts(language, [one.tokens for one in utterances.all]))

        self.episodes, self.train = data.train, spoken(data.train)
        self.held_out = spoken(data.held_out) if data.held_out else None
        self.batches = UtteranceBatches(self.train.utterances, options.lanes, options.chunk, options.seed,
                                        rank=rank(), world_size=world_size())  # fmt: skip
        c, self.teacher = self.policy.config, copy.deepcopy(self.policy.picture).requires_grad_(False)
        match = LateInteraction(self.train.texts[0].shape[1], c.patches, c.patch_width, c.width)
        self.model = FramesAndWords(self.policy.picture, match).to(device)
        self._standardise()

    @torch.no_grad()
    def _standardise(self) -> None:
        """By pictures from everywhere, as the encoder was before."""
        pictures = self.train.utterances.pictures
        sample = torch.linspace(0, len(pictures) - 1, min(SAMPLE, len(pictures))).long().numpy()
        vectors, patches = self.teacher.with_patches(torch.from_numpy(pictures[sample, 0]).to(self.device))
        self.model.match.standardise(patches, vectors)
        self.variance = vectors.var(0).sum()

    def describe(self) -> str:
        held_out = len(self.held_out.texts) if self.held_out else 0
        return (f"contrast: {count_parameters(self.model)}, {len(self.train.texts):,} utterances, "
                f"{held_out:,} held out")  # fmt: skip

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return parameters_apart("match", self.model, picture=[self.model.picture])

    def rates(self) -> dict[str, float]:
        return {"match": self.options.rate_new, "picture": self.options.rate_pretrained}

    def weights(self) -> dict[str, float]:
        return {"contrast": 1.0, "vector": self.options.teacher_weight}

    def next_batch(self) -> UtteranceBatch:
        return next(self.batches)

    def counts(self, batch: UtteranceBatch) -> dict[str, int]:
        return dict.fromkeys(("contrast", "vector"), batch.pictures[..., 0, 0, 0].numel())

    def place(self, batch: UtteranceBatch) -> str:
        said = [self.train.utterances.all[i] for i in batch.index.tolist()]
        seen = [(one.episode, one.frames(self.episodes[one.episode].n_frames, 2)) for one in said]
        episode, frame = (torch.tensor(x) for x in ([[one, one] for one, _ in seen], [at for _, at in seen]))
        return stretches(episode, frame, [episode.id for episode in self.episodes])

    def losses(self, batch: UtteranceBatch) -> dict[str, LossPart]:
        return self.step(batch, self.train, self.options.augment)

    def step(self, batch: UtteranceBatch, spoken: Spoken, augmented: bool = False) -> dict[str, LossPart]:
        """contrast, frame_to_words and words_to_frame, see `contrastive_loss`; vector: the share of variance by which
        the vector of a picture is not what it was."""
        tokens, real, same = (x.to(self.device) for x in spoken.words(batch.index))
        pictures = batch.pictures.flatten(0, 1).to(self.device)
        if augmented:
            pictures = augment(pictures[:, None], ranges=AUGMENTED)[:, 0]
        with torch.no_grad():
            before = self.teacher(pictures)
        vectors, patches = self.model.picture.with_patches(pictures)
        change = (vectors - before).float().square().sum(-1) / self.variance
        scores = self.model.match(tokens, real, patches, vectors).unflatten(1, batch.pictures.shape[:2])
        return contrastive_loss(scores, same) | dict(vector=LossPart.of(change, torch.ones_like(change).bool()))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Means over the held-out utterances, in batches as large as those of training where there are enough."""
        totals = LossTotals()
        for batch in self._held_out_batches():
            totals.add(self.step(batch, self.held_out))
        return prefixed("valid", totals.means())

    def _held_out_batches(self) -> Iterator[UtteranceBatch]:
        """Each held-out utterance once, but for the rest of a batch; the same at every validation."""
        if self.held_out:
            size = min(self.options.lanes, len(self.held_out.texts))
            batches = UtteranceBatches(self.held_out.utterances, size, self.options.chunk, self.options.seed)
            yield from (next(batches) for _ in range(batches.epoch_batches))

    def baselines(self) -> dict[str, float]:
        """Of scores that are all alike: the logarithm of how many there are to choose from."""
        totals = LossTotals()
        for batch in self._held_out_batches():
            same = self.held_out.words(batch.index)[2]
            totals.add(contrastive_loss(torch.zeros(*same.shape, 1), same))
        return {f"unigram/{name}": mean for name, mean in totals.means().items() if name == "contrast"}

    def save(self, folder: Path, half: bool = False) -> None:
        self.policy.save_pretrained(folder, half=half)

    def state(self) -> dict:
        return dict(batches=self.batches.state_dict(), match=self.model.match.state_dict())

    def load(self, folder: Path, state: dict) -> None:
        self.policy.load_state_dict(Policy.from_pretrained(folder).state_dict())
        self.model.match.load_state_dict(state["match"])
        self.batches.load_state_dict(state["batches"])


@torch.no_grad()
def read_texts(language: LanguageModel, texts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Token ids of texts, each read from its beginning -> (L, 2 E) on the processor: of each token its embedding, and
    beside it the hidden state, which knows what came before but, as it tells of the next token, little of this one.
    Both are scaled to a mean square of 1 in each text.
    """
    start = [] if language.config.start_token is None else [language.config.start_token]
    device, found = next(language.parameters()).device, []
    for i in range(0, len(texts), TEXTS):
        ids = pad_sequence([torch.tensor([*start, *text]) for text in texts[i : i + TEXTS]], batch_first=True)
        embedded, hidden = (x.float().cpu() for x in read_ids(language, ids.to(device)))
        for row, text in enumerate(texts[i : i + TEXTS]):
            own = slice(len(start), len(start) + len(text))
            parts = embedded[row, own], hidden[row, own]
            found.append(torch.cat([part / part.square().mean().sqrt().clamp(min=1e-6) for part in parts], 1))
    return found


def read_ids(language: LanguageModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """ids (B, L) of plain text, each row a text of its own -> embeddings (B, L, E), hidden states (B, L, E)."""
    segment = torch.ones_like(ids)
    time = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    ticks, memory = Timestamps(time, segment, segment.bool()), language.start(len(ids))
    embedded = language.embed(ids)
    return embedded, language.run(embedded, language.plan(ticks, segment[:, -1], ids, memory), memory)[0]

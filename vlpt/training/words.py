"""Stage words: the language model alone, on text.

In: transcripts and, if given, more text. Out: a Transformer-XL and its tokenizer.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vlpt.checkpoint import model_folder
from vlpt.data.oracle import ACTION_WORDS
from vlpt.data.text import TextLanes, encode, read_texts
from vlpt.data.words import load_tokenizer, save_tokenizer, train_tokenizer, vocabulary
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.memory import LanguageMemory, tensors, with_tensors
from vlpt.options import Count, Positive, without_effect
from vlpt.training.losses import Counts, LossPart, LossTotals, Unigram
from vlpt.training.processes import rank, world_size
from vlpt.training.stage import TOKENIZER, Stage, StageOptions, count_parameters, detached, prefixed


@dataclass(frozen=True, kw_only=True)
class WordsOptions(StageOptions):
    """The language model alone, on text."""

    stage = "words"

    videos: str = "data_gathering/samples"  # recordings whose transcripts are the text; empty: none
    text: str = ""  # a text file to add to the transcripts
    start: str = ""  # weights of a language model to go on from: a run or a model folder (empty: made anew)
    vocabulary: Count = 1500  # tokens, for a tokenizer made anew
    rate_new: Positive = 1e-4  # learning rate of a model made anew
    rate_pretrained: Positive = 4e-5  # learning rate of weights to go on from

    def __post_init__(self) -> None:
        if not self.videos:
            without_effect(self, "--videos empty (held out is the last twentieth of the text)", "held_out", "test")
        if self.start:
            without_effect(self, "--start", "vocabulary", "rate_new")
        else:
            without_effect(self, "a language model made anew (no --start)", "rate_pretrained")


class Words(Stage):
    """The language model alone, on text."""

    Options = WordsOptions

    def __init__(self, options: WordsOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        train, held_out = read_texts(options.videos, options.text, options.held_out, options.test)
        if options.start:
            folder = model_folder(options.start)
            self.tokenizer, self.model = load_tokenizer(folder / TOKENIZER), TransformerXL.from_pretrained(folder)
        else:
            self.tokenizer = train_tokenizer(train, options.vocabulary, whole_words=ACTION_WORDS)
            self.model = TransformerXL(TransformerXLConfig(vocabulary=vocabulary(self.tokenizer)))
        self.model.to(device)
        self.ids, self.held_out_ids = encode(train, self.tokenizer), encode(held_out, self.tokenizer)
        self.batches = TextLanes(self.ids, options.lanes, options.chunk, rank=rank(), world_size=world_size())
        self.memory = self.model.start(options.lanes)

    def describe(self) -> str:
        return f"words: {count_parameters(self.model)}, {len(self.ids):,} tokens, {len(self.held_out_ids):,} held out"

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"language": list(self.model.parameters())}

    def rates(self) -> dict[str, float]:
        return {"language": self.options.rate_pretrained if self.options.start else self.options.rate_new}

    def weights(self) -> dict[str, float]:
        return {"token": 1.0}

    def step(
        self, batch: tuple[Tensor, Tensor, Tensor], memory: LanguageMemory
    ) -> tuple[dict[str, LossPart], LanguageMemory]:
        """batch as TextLanes gives it -> {"token": nats a token}, memory."""
        heard, spoken, first = (x.to(self.device) for x in batch)
        log_probs, memory = self.model(heard, first, memory)
        nats = -log_probs.gather(-1, spoken[..., None])[..., 0]
        return dict(token=LossPart.of(nats, torch.ones_like(first))), memory

    def next_batch(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.batches.next()

    def counts(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, int]:
        return {"token": batch[1].numel()}

    def place(self, batch: tuple[Tensor, Tensor, Tensor]) -> str:
        return f"tokens of chunk {self.batches.position - 1} of the text"

    def losses(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, LossPart]:
        parts, memory = self.step(batch, self.memory)
        self.memory = detached(memory)
        return parts

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Nats a token of the held-out text, read once in one lane."""
        if len(self.held_out_ids) <= self.options.chunk:
            return {}
        batches, memory, totals = TextLanes(self.held_out_ids, 1, self.options.chunk), self.model.start(1), LossTotals()
        for _ in range(batches.chunks):
            found, memory = self.step(batches.next(), memory)
            totals.add(found)
        return prefixed("valid", totals.means())

    def baselines(self) -> dict[str, float]:
        """The training text's unigram on the held-out text."""
        if not len(self.held_out_ids):
            return {}
        counts = Counts.zero(self.model.vocabulary).plus_words(self.ids, torch.ones_like(self.ids, dtype=torch.bool))
        every = torch.ones_like(self.held_out_ids, dtype=torch.bool)
        return {"unigram/token": float(Unigram.of(counts).language_loss(self.held_out_ids, every)["token"].mean)}

    def save(self, folder: Path, half: bool = False) -> None:
        self.model.save_pretrained(folder, half=half)
        save_tokenizer(self.tokenizer, folder / TOKENIZER)

    def state(self) -> dict:
        return dict(position=self.batches.position, memory=tensors(self.memory), world_size=world_size())

    def load(self, folder: Path, state: dict) -> None:
        self.model.load_state_dict(TransformerXL.from_pretrained(folder).state_dict())
        self.batches.position = state["position"]
        if state.get("world_size", 1) == world_size() and "memory" in state:  # else lanes are other parts of the text
            self.memory = with_tensors(self.memory, state["memory"])

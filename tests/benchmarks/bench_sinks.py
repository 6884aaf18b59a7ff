"""What attention sinks and a start-of-text token are worth: nats a token of ordinary English under SmolLM2.

In: SmolLM2 (data/smollm2, see vlpt/language/smollm2.py) and a text: a file, or the description of the installed package
torch. Out: two tables on standard output; nothing is asserted.

1. Its paragraphs, each read as a text of its own from every token that could begin one: nats a token after the first.
2. The whole text, begun with nothing and with the model's start-of-text token, read on and on with a short window and
   0, 1, 4 sinks, against the full context: nats a token before the window has moved on (the first `window` words) and
   after it.

    python tests/benchmarks/bench_sinks.py --threads 1      # some minutes
"""

import sys
from dataclasses import dataclass, replace
from importlib.metadata import metadata
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))
from vlpt.data.words import load_tokenizer  # noqa: E402
from vlpt.language.decoder import Decoder  # noqa: E402
from vlpt.language.families import load_language  # noqa: E402
from vlpt.options import Count, CountOrNone, run, use_threads  # noqa: E402
from vpt.files import read_text  # noqa: E402

CHUNK, PARAGRAPH = 128, 48  # tokens


@dataclass(frozen=True)
class Options:
    """Measures attention sinks and start-of-text tokens of SmolLM2 on a long text."""

    model: str = "data/smollm2"  # a published decoder's folder
    text: str = ""  # a text file; empty: the description of the package torch
    tokens: Count = 1536  # of the text, from its beginning
    window: Count = 256  # words that the model looks back on
    sinks: tuple[CountOrNone, ...] = (0, 1, 4)  # first words that stay
    threads: CountOrNone = 0  # processor threads (0: torch's choice)


@torch.inference_mode()
def nats(model: Decoder, ids: Tensor) -> Tensor:
    """ids (B, L) -> (B, L - 1): nats of each token but the first, the text being read in chunks."""
    memory, found = model.start(len(ids)), []
    for start in range(0, ids.shape[1] - 1, CHUNK):
        read, follows = ids[:, start : start + CHUNK], ids[:, start + 1 : start + CHUNK + 1]
        log_probs, memory = model(read, torch.zeros_like(read, dtype=torch.bool), memory)
        found.append(-log_probs[:, : follows.shape[1]].gather(-1, follows[..., None])[..., 0])
    return torch.cat(found, 1)


def looking_back(model: Decoder, window: int, sinks: int) -> Decoder:
    """The same weights with another window."""
    return Decoder(replace(model.config, window=window, sinks=sinks), model.causal).eval()


def print_sinks(model: Decoder, ids: Tensor, options: Options) -> None:
    print(f"{ids.shape[1]} tokens; nats a token of the first {options.window}, and of the others; begun with nothing "
          f"| with {model.config.start_token}")
    begun = torch.cat([ids.new_full((1, 1), model.config.start_token), ids], 1)
    ways = [("full context", begun.shape[1], 0)] + [(f"{n} sinks", options.window, n) for n in options.sinks]
    for name, window, sinks in ways:
        with_less = looking_back(model, window, sinks)
        each = [nats(with_less, text)[0, 1 - ids.shape[1] :] for text in (ids, begun)]
        parts = [f"{found[: options.window].mean():.3f}  {found[options.window :].mean():.3f}" for found in each]
        print(f"   {name:>12}  {' | '.join(parts)}", flush=True)


def print_starts(model: Decoder, paragraphs: Tensor, starts: dict[str, int | None]) -> None:
    """paragraphs (B, PARAGRAPH): each is a text of its own."""
    print(f"{len(paragraphs)} paragraphs; nats a token of their first {PARAGRAPH} but for the very first one")
    full = looking_back(model, PARAGRAPH + 1, 0)
    for name, token in starts.items():
        begins = paragraphs[:, :0] if token is None else paragraphs.new_full((len(paragraphs), 1), token)
        found = nats(full, torch.cat([begins, paragraphs], 1))[:, begins.shape[1] :]
        print(f"   {name:>16}  {found.mean():.3f} (the first eight {found[:, :8].mean():.3f})", flush=True)


def paragraphs_of(text: str, tokenizer) -> Tensor:
    """(B, PARAGRAPH) int64: how the longer paragraphs begin, without headings, lists, tables and code."""
    prose = [" ".join(part.split()) for part in text.split("\n\n") if part[:1].isalpha()]
    ids = [tokenizer.encode(part).ids for part in prose]
    return torch.tensor([part[:PARAGRAPH] for part in ids if len(part) >= PARAGRAPH])


def main(options: Options) -> None:
    """Raises ValueError for a text that is shorter than the window."""
    use_threads(options.threads)
    text = read_text(options.text) if options.text else metadata("torch").get_payload()
    model, tokenizer = load_language(options.model), load_tokenizer(Path(options.model) / "tokenizer.json")
    ids = torch.tensor([tokenizer.encode(text).ids[: options.tokens]])
    if ids.shape[1] < 2 * options.window:
        raise ValueError(f"the text has {ids.shape[1]} tokens: take one of at least twice --window {options.window}")
    starts = {"none": None} | {name: tokenizer.token_to_id(name) for name in ("<|endoftext|>", "<|im_start|>")}
    print_starts(model, paragraphs_of(text, tokenizer), starts)
    print_sinks(model, ids, options)


if __name__ == "__main__":
    run(main, Options)

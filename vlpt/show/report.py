"""One page that shows what a demo found, and its numbers under fixed keys.

In: a folder of runs (see vlpt/show/results.py). Out: a self-contained HTML page (pictures and videos inside it, nothing
to load from elsewhere) and, beside it, `summary.json`. What has not been made yet is named on the page. Run:

    python -m vlpt.show.report --run runs/demo --out runs/demo/report.html
"""

import json
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vlpt.files import write_json, write_text
from vlpt.options import flag, run
from vlpt.show import plots
from vlpt.show.evidence import evidence, joining, measured
from vlpt.show.html import absent, film, note, picture
from vlpt.show.results import Results, oracle_loss, read_results, speech, summary


@dataclass(frozen=True)
class Options:
    """Show the results of a folder of runs on one page."""

    run: str = "runs/demo"  # folder of runs, as demo.py leaves it
    out: str = "runs/demo/report.html"  # page to write; summary.json goes beside it


def main(options: Options) -> dict:
    """Writes the page, then the summary, and returns that. Raises ValueError where the summary lacks a file."""
    results, out = read_results(options.run), Path(options.out)
    try:
        numbers, lacking = summary(results), None
    except ValueError as error:
        numbers, lacking = None, error
    write_text(out, page(results, numbers))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    if lacking:
        raise lacking
    write_json(out.with_name("summary.json"), numbers)
    print(json.dumps(numbers, indent=1))
    return numbers


def page(results: Results, numbers: dict | None) -> str:
    """The whole page as HTML."""
    sections = [
        ("", tiles(results, numbers) if numbers else absent("The summary", "every stage, evaluate.py")),
        ("It plays and talks", film(results.folder / "play.mp4", "python -m vlpt.play --world luanti")),
        ("What joining did", joining(results)),
        ("Do words steer actions, do frames shape words?", evidence(results)),
        ("What it feels, what words can see", measured(results)),
        ("Losses against their baselines", picture(plots.losses_figure(results.runs))
         + note("Nats; lower is better. Black: held-out channels. Amber: the best constant prediction (unigram). "
                "Green: what the model reaches alone, without the other one.")),
        ("Gates", picture(plots.gates_figure(results.runs))
         + note("How open the cross attentions are; when the models are joined both are shut. Dotted: 0.05.")),
        ("Inverse dynamics: which keys were pressed?", inverse_dynamics(results)),
        ("What it would have said", transcript(results)),
        ("How this was made", commands(results)),
    ]
    body = "".join(f"<section>{f'<h2>{heading}</h2>' if heading else ''}{content}</section>"
                   for heading, content in sections)
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>VLPT: {escape(results.folder.name)}</title><style>{STYLE}</style><main><header><h1>VLPT</h1>"
            "<p>A language model and an agent that see, act, hear and speak as one, trained on narrated play.</p>"
            f"</header>{body}</main></html>\n")


# ---- sections


def tiles(results: Results, numbers: dict) -> str:
    """The numbers at a glance, each with what was asked of it."""
    action, token, found = numbers["action"], numbers["token"], numbers["dependence"]
    action_ratio, token_ratio = action["nats_per_frame"] / action["unigram"], token["nats_per_token"] / token["unigram"]
    own = oracle_loss(results.evaluation)
    oracle, shuffled, gates, idm = found["oracle"], found["shuffled"], numbers["gates"], numbers["idm"]
    rows = joining_tiles(results.worth) + [
        ("buttons recognised", f"{idm['balanced_accuracy']:.3f}", "balanced accuracy ≥ 0.85",
         idm["balanced_accuracy"] >= 0.85),
        ("mouse recognised", f"{idm['mouse_r2']:.3f}", "R² ≥ 0.80", idm["mouse_r2"] >= 0.80),
        ("action loss", f"{action['nats_per_frame']:.2f}", f"{action_ratio:.3f} of unigram, ≤ 0.75",
         action_ratio <= 0.75),
        ("token loss", f"{token['nats_per_token']:.2f}", f"{token_ratio:.3f} of unigram, ≤ 0.70",
         token_ratio <= 0.70),
        ("oracle dependence", f"{oracle['delta']:+.2f}", "nats/frame ≥ 0.3, interval above 0",
         oracle["delta"] >= 0.3 and oracle["low"] > 0),
        ("oracle's own loss", f"{own:.2f}", "nats/frame on its own words, ≤ 2.05", own <= 2.05),
        ("shuffled dependence", f"{shuffled['delta']:+z.3f}", "interval holds 0",
         shuffled["low"] <= 0 <= shuffled["high"]),
        ("words ask frames", f"{gates['words_ask_frames']:.3f}", "gate > 0.05", gates["words_ask_frames"] > 0.05),
        ("frames ask words", f"{gates['frames_ask_words']:.3f}", "gate > 0.05", gates["frames_ask_words"] > 0.05),
        ("minutes", f"{numbers['minutes']:.1f}", "≤ 25", numbers["minutes"] <= 25),
        ("memory", f"{numbers['peak_gb']:.1f} GB", "≤ 6", numbers["peak_gb"] <= 6),
    ]
    return "<div class=tiles>" + "".join(
        f"<div class='tile {'met' if met else 'missed'}'><span>{name}</span><b>{value}</b><small>{asked}</small></div>"
        for name, value, asked, met in rows) + "</div>"


def joining_tiles(worth: dict | None) -> list[tuple[str, str, str, bool]]:
    """What joining must do, where it was measured: name, value, what was asked, whether it is met."""
    if worth is None:
        return []
    alone, joint, words = worth["alone"], worth["joined"]["joint"], worth["worth"]["words"]
    token, action = joint["nats_per_token"], joint["nats_per_frame"]
    return [
        ("joined, words", f"{token:.2f}", f"nats/token, alone {alone['language_nats_per_token']:.2f}, ≤ alone − 0.05",
         token <= alone["language_nats_per_token"] - 0.05),
        ("joined, actions", f"{action:.2f}", f"nats/frame, ≤ alone, {alone['agent_nats_per_frame']:.2f}",
         action <= alone["agent_nats_per_frame"]),
        ("worth of words", f"{words['delta']:+z.3f}", "nats/frame, interval from −0.005 up", words["low"] >= -0.005),
        ("worth of frames", f"{worth['worth']['frames']['delta']:+z.3f}", "nats/token > 0",
         worth["worth"]["frames"]["delta"] > 0),
    ]  # fmt: skip


def inverse_dynamics(results: Results) -> str:
    """Per-button accuracy and the mouse's confusion, on held-out channels."""
    if results.idm is None:
        return absent("Labels beside true keys", "data_gathering.label, data_gathering.shard and evaluate.py")
    numbers = results.idm.numbers()
    return (f"<div class=row>{picture(plots.buttons_figure(results.idm))}{picture(plots.camera_figure(results.idm))}"
            "</div>" + note(f"{results.idm.n_frames:,} held-out frames. Mean balanced accuracy "
                            f"{numbers['balanced_accuracy']:.3f} over the buttons that occur (amber: chance), mouse R² "
                            f"{numbers['mouse_r2']:.3f}, every button right on {numbers['keypress_accuracy']:.1%}."))


def transcript(results: Results) -> str:
    """A person's words and, in the same seconds, those that the agent would have said."""
    rows = speech(results.watched)
    if not rows:
        return absent("A watched recording", "python -m vlpt.play --recording … --out watched.mp4")
    cells = "".join(f"<tr><td class=n>{row['ms'] // 60000}:{row['ms'] // 1000 % 60:02d}<td>{escape(row['true'])}"
                    f"<td class=agent>{escape(row['agent'])}" for row in rows)
    return (film(results.folder / "watched.mp4", "python -m vlpt.play --recording …")
            + note("The agent watches a held-out recording, hears what the person said so far, and draws its own next "
                   "word at every tick.")
            + f"<table><tr><th>time<th>the person<th>the agent{cells}</table>")


def commands(results: Results) -> str:
    """The command of every run, and what it was run with."""
    blocks = []
    for name, record in results.runs.items():
        made = ", ".join(f"{key} {value}" for key, value in record.versions.items())
        took = f"{record.done['minutes']:.1f} minutes" if "minutes" in record.done else "not finished"
        blocks.append(f"<details><summary>{name} <small>{escape(took)}; {escape(made)}</small></summary>"
                      f"<pre>{escape(command(record.options))}</pre></details>")
    return "".join(blocks)


def command(options: dict) -> str:
    """The command line that gives train.py these options."""
    parts = ["python train.py", options["stage"]]
    for name, value in options.items():
        if name == "stage":
            continue
        if isinstance(value, bool):
            parts.append(flag(name) if value else "--no-" + flag(name).removeprefix("--"))
        else:
            values = value if isinstance(value, list) else [value]
            parts.append(" ".join([flag(name), *(shlex.quote(str(one)) for one in values)]))
    return " ".join(parts)


# ---- pieces


STYLE = """
:root{--ink:#1d2430;--soft:#69717f;--line:#e3e6ea;--good:#17794a;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:#f6f7f9;color:var(--ink);
  font:16px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1060px;margin:0 auto;padding:40px 24px 80px}
header h1{font-size:40px;letter-spacing:-.02em;margin:0}
header p{color:var(--soft);font-size:18px;margin:2px 0 24px}
section{background:#fff;border:1px solid var(--line);border-radius:12px;padding:22px 26px;margin:0 0 18px}
section:first-of-type{background:none;border:0;padding:0}
h2{font-size:20px;letter-spacing:-.01em;margin:0 0 14px}
img,video{display:block;max-width:100%;margin:0 auto;border-radius:8px}
video{width:100%;max-width:780px;background:#16191f}
.tiles{display:grid;grid-template-columns:repeat(5,1fr);gap:12px}
.tile{background:#fff;border:1px solid var(--line);border-left:4px solid var(--good);border-radius:10px;
  padding:12px 14px}
.tile.missed{border-left-color:var(--bad)}
.tile.missed small{color:var(--bad)}
.tile span,.tile small{display:block;font-size:13px;line-height:1.35;color:var(--soft)}
.tile b{font-size:26px;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.pair{display:grid;grid-template-columns:1fr 1.3fr;gap:28px;align-items:start}
.row{display:flex;gap:12px;align-items:center}
.row img{min-width:0;flex:0 1 auto}
.row img:first-child{max-width:43%}
.row img:last-child{max-width:56%}
.note{color:var(--soft);font-size:14px;margin:12px 0 0}
.absent{color:var(--soft);font-style:italic;margin:0}
table{border-collapse:collapse;width:100%;margin-top:14px;font-size:15px}
th{text-align:left;font-size:13px;font-weight:600;color:var(--soft)}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.agent{color:#2a6fdb}
details{border-bottom:1px solid var(--line);padding:6px 0}
summary{cursor:pointer;font-weight:600}
summary small{color:var(--soft);font-weight:400}
pre{white-space:pre-wrap;font-size:12.5px;background:#f6f7f9;border-radius:6px;padding:10px;margin:8px 0}
@media(max-width:800px){.tiles{grid-template-columns:repeat(2,1fr)}
  .pair{display:block}.row{display:block}.row img:nth-child(n){max-width:100%}}
"""


if __name__ == "__main__":
    run(main, Options)

"""What the evidence says to the research questions: its numbers, and which was not measured."""

from vlpt.show.answers import QUESTIONS, answers_table


def share(value: float, count: int = 20) -> dict:
    return dict(share=value, low=value - 0.1, high=value + 0.1, count=count)


def test_every_number_stands_in_its_line_and_what_is_missing_is_named():
    matching = dict(all=share(0.8), same_kind=dict(all=share(0.6)), ceiling=None)
    every = dict(told=0.7, otherwise=0.1, delta=0.6, low=0.3, high=0.9)
    steering = {"jump": {}, "back": {}, "all": every, "above_zero": 2}
    told = {"truth": dict(delta=0.0156, low=0.0139, high=0.0173, share=dict(delta=0.34, low=0.28, high=0.4))}
    evidence = {
        "worth_0": told, "worth_1": told, "worth_2": {},
        "matching": {"actions_from_words": matching, "words_from_frames": matching | {"ceiling": dict(all=share(0.9))}},
        "sight": {"worth": {"sight": dict(delta=0.0276, low=0.0194, high=0.0359)}},
        "steering": {"steering": steering}, "seeds": {"worth of words": dict(delta=0.01, low=-0.02, high=0.04)},
        "saying": {"agent": {"carried_out": dict(true=share(0.5), permuted=0.2, p=0.01),
                             "in_view": {"thing": dict(true=share(0.5), permuted=None, p=None)}}},
    }  # fmt: skip
    lines = {row.split(" | ")[1]: row.split(" | ")[2].rstrip(" |") for row in answers_table(evidence).splitlines()[2:]}
    assert len(lines) == sum(map(len, QUESTIONS.values()))
    assert lines["the true announcement is likelier"] == "0.80 [0.70, 0.90]; same kind 0.60 [0.50, 0.70]"
    assert lines["the true film is likelier"].endswith(", ceiling 0.90 [0.80, 1.00]")
    assert lines["done when told - told something else"] == \
        "+0.60 [+0.30, +0.90] (0.70 told, 0.10 told something else; above 0 in 2 of 2)"
    assert lines["worth of words, nats a frame"] == "+0.0100 [-0.0200, +0.0400]"
    assert lines["what the world's truth would tell, of each seed asked"].startswith("+0.0156 [+0.0139")
    assert lines["what the world's truth would tell"] == "+0.0276 [+0.0194, +0.0359]"
    assert lines["words' share of it"] == "+0.34 [+0.28, +0.40]; +0.34 [+0.28, +0.40]"
    assert lines["announcements that are carried out"] == "0.50 [0.40, 0.60] of 20; at other times 0.20, p 0.010"
    assert lines["things named that are in view"] == "none said"
    assert lines["gain in tokens, nats"] == lines["in mid-errand"] == "not measured"

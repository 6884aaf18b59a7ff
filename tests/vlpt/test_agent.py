"""The agent: what it streams is training's forward, its ears, its lanes, its dice.

Run: pytest tests/vlpt/test_agent.py
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_agent import FRAMES_PER_TICK, TEXT, pictures, save_toy, tokenizer, toy_model

from vlpt.agent import Agent, Sampling, filter_log_probs
from vlpt.checkpoint import agent_key
from vlpt.data.words import train_tokenizer
from vlpt.worlds.contract import check_action, noop
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import resize_to_agent


@pytest.fixture(scope="module")
def agent() -> Agent:
    return Agent(toy_model(), tokenizer())


def stream(agent: Agent, memory, frames: int, lanes: int = 1, seed: int = 0):
    """Plays on `frames` pictures: a list of (actions, words, memory after) a frame."""
    steps = []
    for t in range(frames):
        actions, words, memory = agent.act(pictures(lanes, seed + t), memory)
        steps.append((actions, words, memory))
    return steps


def test_streaming_is_the_forward_of_training(agent):
    lanes, frames = 2, 44
    steps = stream(agent, agent.start(lanes, seed=1), frames, lanes)
    ticks = range(0, frames, FRAMES_PER_TICK)
    stream_tokens = torch.stack([steps[t][2].token for t in ticks], 1)
    assert (stream_tokens == agent.silence).any() and (stream_tokens != agent.silence).any()
    sight = np.stack([[resize_to_agent(p) for p in pictures(lanes, t)] for t in range(frames)], 1)
    first, heard = torch.zeros(lanes, frames, dtype=torch.bool), torch.zeros(lanes, frames, dtype=torch.long)
    first[:, 0] = True
    heard[:, ::FRAMES_PER_TICK] = torch.cat([torch.full((lanes, 1), agent.silence), stream_tokens[:, :-1]], 1)
    nothing = torch.tensor([0, MINECRAFT.null_camera_index]).expand(lanes, 2)
    done = torch.stack([nothing, *(memory.last_action for _, _, memory in steps)], 1)  # (B, T + 1, 2)
    with torch.no_grad():
        output, memory = agent.model(torch.from_numpy(sight), first, heard, agent.model.start(lanes), done[:, :-1])
    streamed = torch.stack([steps[t][2].p_silence for t in ticks], 1)
    torch.testing.assert_close(streamed, output.silence_logit.sigmoid(), atol=1e-5, rtol=1e-4)
    following = torch.from_numpy(np.stack([resize_to_agent(p) for p in pictures(lanes, 99)]))[:, None]
    with torch.no_grad():  # unused slots of the two memories may differ, what they lead to may not
        ends = [agent.model(following, first[:, 1:2], stream_tokens[:, -1:], end, done[:, -1:])[0]
                for end in (steps[-1][2].model, memory)]
    for name in ("buttons", "camera"):
        one, other = (getattr(end.action, name) for end in ends)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(*(agent.model.language.log_probs(end.hidden) for end in ends), atol=1e-4, rtol=1e-4)


def test_words_are_said_on_ticks_only_and_join_to_the_text_of_the_stream(agent):
    steps = stream(agent, agent.start(seed=2), 60)
    said = [words[0] for _, words, _ in steps]
    assert all(not word for t, word in enumerate(said) if t % FRAMES_PER_TICK)
    ids = [int(memory.token[0]) for _, _, memory in steps[::FRAMES_PER_TICK]]
    assert [bool(word) for word in said[::FRAMES_PER_TICK]] == [i != agent.silence for i in ids]


def test_pieces_of_a_text_join_to_it(agent):
    text = " let's chop stand-left zebras"
    ids = tokenizer().encode(text, add_special_tokens=False).ids
    assert "".join(agent.piece(i) for i in ids) == text
    assert agent.piece(agent.silence) == ""


def test_what_is_said_to_it_takes_the_place_of_its_words_tick_by_tick(agent):
    memory = stream(agent, agent.start(seed=3), 6)[-1][2]
    ids = tokenizer().encode(" " + TEXT, add_special_tokens=False).ids
    steps = stream(agent, agent.hear(TEXT, memory), FRAMES_PER_TICK * (len(ids) + 6) + 3, seed=6)
    ticks = [(t, memory) for t, (_, _, memory) in enumerate(steps, 6) if t % FRAMES_PER_TICK == 0]
    assert [int(memory.token[0]) for _, memory in ticks[:len(ids)]] == ids
    heard_pieces = [memory.heard[0] for _, _, memory in steps]
    assert "".join(heard_pieces).strip() == TEXT
    assert not any(words[0] and heard for (_, words, _), heard in zip(steps, heard_pieces, strict=True))
    last = FRAMES_PER_TICK * (len(ids) + 1)
    assert not any(words[0] for _, words, _ in steps[:last - 6]) and any(words[0] for _, words, _ in steps[last - 6:])


def test_what_it_hears_changes_what_it_does(agent):
    deaf, heard_pieces = agent.start(seed=4), agent.hear(TEXT, agent.start(seed=4))
    p = [[memory.p_silence.item() for _, _, memory in stream(agent, start, 24)] for start in (deaf, heard_pieces)]
    assert p[0][:FRAMES_PER_TICK] == p[1][:FRAMES_PER_TICK]  # nothing has been heard yet
    assert p[0][FRAMES_PER_TICK:] != p[1][FRAMES_PER_TICK:]


def test_only_the_lane_that_is_spoken_to_hears(agent):
    steps = stream(agent, agent.hear("chop a tree", agent.start(3), lane=1), 20, lanes=3)
    heard_pieces = ["".join(memory.heard[lane] for _, _, memory in steps) for lane in range(3)]
    assert heard_pieces == ["", " chop a tree", ""]


def test_the_same_seed_plays_the_same_and_memory_is_a_value(agent):
    def play(seed):
        return [(str(actions), words) for actions, words, _ in stream(agent, agent.start(2, seed), 20, lanes=2)]

    assert play(5) == play(5) != play(6)
    memory = agent.start(2, seed=5)
    once, again = agent.act(pictures(2), memory), agent.act(pictures(2), memory)
    assert str(once[0]) == str(again[0]) and once[1] == again[1]
    torch.testing.assert_close(once[2].model.words.content, again[2].model.words.content, atol=0, rtol=0)


def test_a_reset_lane_is_a_fresh_lane_and_the_others_go_on(agent):
    def listen(memory, lanes):  # the words and keys are given, so that only memory can make a difference
        memory = replace(memory, queue=((),) * len(memory.queue))
        for lane in range(len(memory.queue)):
            memory = agent.hear(TEXT, memory, lane)
        p = []
        for t in range(20):
            memory = agent.set_actions(None, None, agent.act(pictures(2, seed=9 + t)[lanes], memory)[2])
            p.append(memory.p_silence)
        return torch.stack(p)

    before = stream(agent, agent.hear(TEXT, agent.start(2), lane=0), 9, lanes=2)[-1][2]
    reset = agent.reset(before, [True, False])
    assert reset.last_action[0].tolist() == [0, MINECRAFT.null_camera_index]
    assert torch.equal(reset.last_action[1], before.last_action[1])
    assert reset.queue == ((), ()) and before.queue[0] and reset.p_silence.isnan().tolist() == [True, False]
    after = listen(reset, slice(0, 2))
    torch.testing.assert_close(after[:, :1], listen(agent.start(1), slice(0, 1)))
    went_on = listen(before, slice(0, 2))
    torch.testing.assert_close(after[:, 1], went_on[:, 1])
    assert (after[:, 0] - went_on[:, 0]).abs().max() > 1e-3


def test_what_it_did_is_what_it_chose_and_can_be_set(agent):
    (action,), _, memory = agent.act(pictures(1), agent.start(seed=1))
    buttons, camera_deg = MINECRAFT.decode(*memory.last_action.numpy().T)
    assert np.array_equal(buttons[0], action.buttons) and np.allclose(camera_deg[0], action.camera_deg)
    forward = np.array([[name == "forward" for name in BUTTONS]], np.uint8)
    walked, unknown = agent.set_actions(forward, np.zeros((1, 2)), memory), agent.set_actions(None, None, memory)
    assert MINECRAFT.decode(*walked.last_action.numpy().T)[0].tolist() == forward.tolist()
    assert unknown.last_action.tolist() == [[-1, -1]]
    calm = Agent(agent.model, tokenizer(), Sampling(action_temperature=0))
    then = [calm._forward(torch.from_numpy(resize_to_agent(pictures(1, 5)[0])[None]), state)[0].action.buttons
            for state in (memory, walked, unknown)]
    assert all((one - other).abs().max() > 1e-3 for one, other in ((then[0], then[1]), (then[1], then[2])))


def test_actions_fit_the_worlds(agent):
    for actions, _, _ in stream(agent, agent.start(2), 4, lanes=2):
        for action in actions:
            check_action({**noop(), **action})


def test_temperature_zero_takes_the_likeliest_key(agent):
    calm = Agent(agent.model, tokenizer(), Sampling(action_temperature=0, word_temperature=0))
    plays = [[actions for actions, _, _ in stream(calm, calm.start(seed=seed), 4)] for seed in (1, 2)]
    assert str(plays[0]) == str(plays[1])  # before any word is heard nothing is left to chance


@pytest.mark.parametrize("top_p, kept", [(1.0, 4), (0.93, 3), (0.8, 2), (0.5, 1), (0.01, 1)])
def test_top_p_keeps_the_fewest_likeliest_tokens_that_reach_it(top_p, kept):
    log_probs = torch.tensor([[0.1, 0.5, 0.06, 0.34]]).log()
    left = filter_log_probs(log_probs, Sampling(top_p=top_p))[0].isfinite()
    assert left.sum() == kept and left[log_probs[0].argsort(descending=True)[:kept]].all()


def test_temperature_sharpens():
    log_probs = torch.tensor([[0.2, 0.8]]).log()
    cold, plain, zero = (filter_log_probs(log_probs, Sampling(word_temperature=t)).softmax(-1)[0, 1]
                         for t in (0.5, 1.0, 0.0))
    assert plain == pytest.approx(0.8) and cold == pytest.approx(0.64 / 0.68) and zero == 1


def test_a_saved_agent_plays_as_before(agent, tmp_path):
    loaded = Agent.from_pretrained(save_toy(tmp_path / "model"))
    plays = [[(str(a), w) for a, w, _ in stream(one, one.start(seed=7), 12)] for one in (agent, loaded)]
    assert plays[0] == plays[1]


def test_an_agent_draws_as_its_folder_says_where_nothing_else_is_asked(tmp_path):
    folder = save_toy(tmp_path / "model")
    assert Agent.from_pretrained(folder).sampling == Sampling()
    plain = agent_key(folder)
    (folder / "sampling.json").write_text('{"word_temperature": 0.5, "guidance": 2}')
    assert Agent.from_pretrained(folder).sampling == Sampling(word_temperature=0.5, guidance=2)
    assert Agent.from_pretrained(folder, guidance=0.0).sampling == Sampling(word_temperature=0.5)
    assert agent_key(folder) != plain
    for wrong, says in (('{"heat": 1}', "sampling.json: .*heat"), ('{"top_p": 0}', "sampling.json: .*top_p")):
        (folder / "sampling.json").write_text(wrong)
        with pytest.raises(ValueError, match=says):
            Agent.from_pretrained(folder)


def test_mistakes_are_told(agent, tmp_path):
    with pytest.raises(ValueError, match="no model in"):
        Agent.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="tokenizer.json of the model's own folder"):
        Agent(agent.model, train_tokenizer([TEXT], 300, whole_words=[f"word{i}" for i in range(200)]))
    with pytest.raises(ValueError, match="one frame a lane"):
        agent.act(pictures(1), agent.start(2))
    with pytest.raises(ValueError, match="top_p"):
        Sampling(top_p=0)


# ---- guards and guidance


def runs_of(tokens: list[int], silence: int) -> list[tuple[bool, int]]:
    """[(talks, for how many ticks)] in order."""
    found: list[tuple[bool, int]] = []
    for talks in (token != silence for token in tokens):
        if found and found[-1][0] == talks:
            found[-1] = (talks, found[-1][1] + 1)
        else:
            found.append((talks, 1))
    return found


def test_guards_bound_talk_and_silence_and_are_off_by_default(agent):
    def spoken(sampling):
        steps = stream(Agent(agent.model, tokenizer(), sampling), agent.start(seed=8), 400)
        return runs_of([int(memory.token[0]) for _, _, memory in steps[::FRAMES_PER_TICK]], agent.silence)

    free, guarded = spoken(Sampling()), spoken(Sampling(least_silence_ticks=3, most_talk_ticks=2))
    assert max(n for talks, n in free if talks) > 2 and min(n for talks, n in free if not talks) < 3
    assert max(n for talks, n in guarded if talks) <= 2
    between = [n for talks, n in guarded[1:-1] if not talks]  # before the first word and after the last none is owed
    assert between and min(between) >= 3


def test_guidance_goes_beyond_what_words_change():
    model = toy_model()
    plain, guided = Agent(model, tokenizer()), Agent(model, tokenizer(), Sampling(guidance=1.5))
    memory, deaf, both = plain.start(seed=1), plain.start(seed=1), guided.start(seed=1)
    frames = [torch.from_numpy(np.stack([resize_to_agent(p) for p in pictures(1, t)])) for t in range(16)]
    for t, sight in enumerate(frames):
        token = torch.tensor([agent_word(t)])
        memory, both = replace(memory, token=token), replace(both, token=token)
        deaf = replace(deaf, token=torch.full_like(token, plain.silence))
        with torch.no_grad():
            hears, hears_not, guides = (one._forward(sight, state) for one, state in (
                (plain, memory), (plain, deaf), (guided, both)))
        for name in ("buttons", "camera"):
            with_words, without, found = (getattr(seen[0].action, name) for seen in (hears, hears_not, guides))
            expected = (2.5 * with_words - 1.5 * without).log_softmax(-1)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(guides[0].silence_logit, hears[0].silence_logit, atol=1e-5, rtol=1e-5)
        memory, deaf, both = (replace(state, model=seen[1], first=torch.zeros_like(state.first)) for state, seen in (
            (memory, hears), (deaf, hears_not), (both, guides)))
    assert (with_words - without).abs().max() > 1e-3


def agent_word(t: int) -> int:
    return 5 + t % 7


def test_a_guided_agent_plays_resets_and_hears(agent):
    guided = Agent(agent.model, tokenizer(), Sampling(guidance=1.0))
    memory = guided.reset(stream(guided, guided.start(2, seed=1), 6, lanes=2)[-1][2], [True, False])
    steps = stream(guided, guided.hear(TEXT, memory, lane=1), 12, lanes=2)
    with_words, without = steps[-1][2].model.next_frame.chunk(2)
    assert len(steps[-1][0]) == 2 and torch.equal(with_words, without)


def test_negative_guards_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        Sampling(guidance=-1)

"""evaluate.py vpt: the losses that it reports are those of the model, masked and not, whatever the chunks."""

import numpy as np
import pytest
import torch
from support.numbered_recordings import record

import evaluate
from vlpt.agent import load_agent
from vlpt.evaluation.vpt import Options, main
from vpt.actions import MINECRAFT, read_contractor
from vpt.convert import to_files
from vpt.frames import read_video
from vpt.policy import Policy, PolicyConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two contractors' recordings, and a small random agent in the released format."""
    folder = tmp_path_factory.mktemp("vpt")
    for number, (id_, frames) in enumerate([("ann-s-1-1", 50), ("ann-s-1-2", 30), ("bob-s-1-1", 20)]):
        record(folder / "play", id_, number, frames)
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(width=32, heads=2, blocks=2, attention_memory_size=24, timesteps=8, impala_width=0.25))
    torch.nn.init.normal_(policy.heads.camera.linear.bias, std=2.0)
    policy.save_pretrained(folder / "agent")
    to_files(str(folder / "agent"), str(folder / "small"))
    return folder


def asked(folder, **more) -> Options:
    return Options(model=str(folder / "small.model"), weights=str(folder / "small.weights"),
                   recordings=str(folder / "play"), device="cpu", **more)  # fmt: skip


def test_it_reports_the_model_s_own_losses(folder, capsys):
    found = evaluate.evaluate(asked(folder, chunk=7, out=str(folder / "found.json")))
    policy = load_agent(str(folder / "small.model"), str(folder / "small.weights"), "cpu").model
    masked, unmasked, kept = [], [], []
    for path in sorted((folder / "play").glob("*.mp4")):
        frames = torch.from_numpy(np.stack(list(read_video(path))))[None]
        rows = read_contractor(path.with_suffix(".jsonl"))
        buttons, camera = MINECRAFT.encode(rows.buttons, rows.camera_deg)
        first = torch.zeros(frames.shape[:2], dtype=torch.bool)
        with torch.no_grad():
            action = policy(frames, first, policy.start(1))[0].action
        t, moves = np.arange(len(rows)), MINECRAFT.camera_meta(buttons)
        of_buttons = -action.buttons[0].numpy()[t, buttons]
        of_camera = -action.camera[0].numpy()[t, camera]
        masked.append(of_buttons + of_camera * moves)
        unmasked.append(of_buttons + of_camera)
        kept.append(masked[-1][~rows.null])
    expected = {"masked": masked, "unmasked": unmasked, "non_null": kept}
    for loss, values in expected.items():
        assert found["losses"][loss]["nats"] == pytest.approx(np.concatenate(values).mean(), abs=2e-4), loss
    assert found["losses"]["masked"]["nats"] < found["losses"]["unmasked"]["nats"] - 0.1
    assert found["losses"]["masked"]["over_channels"]["channels"] == 2
    said = capsys.readouterr().out
    assert "of 2 contractors" in said and "2 to 3" in said and "13 to 15" in said and (folder / "found.json").exists()


def test_only_the_beginning_of_some(folder):
    found = main(asked(folder, most=1, most_seconds=1.0))
    assert found["losses"]["masked"]["frames"] == 20 and list(found["recordings"]) == ["ann-s-1-1"]


def test_what_cannot_be_measured_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match="two files"):
        Options(model="2x.model")
    with pytest.raises(ValueError, match="holds no <id>.mp4"):
        main(Options(model=str(folder / "agent"), recordings=str(tmp_path)))
    record(tmp_path, "eve-s-1-1", 0, 12)
    rows = (tmp_path / "eve-s-1-1.jsonl").read_text().splitlines()
    (tmp_path / "eve-s-1-1.jsonl").write_text("\n".join(rows[:9]))
    with pytest.raises(ValueError, match=r"12 frames.*9 rows"):
        main(Options(model=str(folder / "agent"), recordings=str(tmp_path), device="cpu"))

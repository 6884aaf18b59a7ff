"""Checkpoints: folders of ours, OpenAI's two files both ways, complete key lists, and pickles that mean harm."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from support.fixture_data import record, tensors
from support.places import ROOT

import vpt
from vpt.convert import Options, main
from vpt.idm import IDM, IDMConfig
from vpt.options import run
from vpt.policy import SIZES, Policy, PolicyConfig
from vpt.released import (
    from_released,
    idm_config,
    key_table,
    policy_config,
    read_plain_pickle,
    read_weights_file,
    to_released,
)
from vpt.senses import with_last_action

SMALL = PolicyConfig(width=16, heads=2, blocks=2, impala_width=0.25, px=16, n_buttons=7)
SMALL_IDM = IDMConfig(width=16, heads=2, conv_channels=4, impala_width=0.25, px=16, lastlayer="used")
INDEX = {name: entry for name, entry in record("vpt_policy_full_index.json").items() if name != "_note"}


def same(one: dict, two: dict) -> None:
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("model", [Policy(SMALL), IDM(SMALL_IDM)], ids=["policy", "idm"])
def test_folder_round_trip(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    back = type(model).from_pretrained(tmp_path / "m")
    same(back.state_dict(), model.state_dict())
    assert back.config == model.config and not back.training
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_half_precision_on_disk_is_single_in_memory(tmp_path):
    policy = Policy(SMALL)
    policy.save_pretrained(tmp_path / "whole")
    policy.save_pretrained(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    back = Policy.from_pretrained(tmp_path / "half").state_dict()
    same(back, {key: value.half().float() for key, value in policy.state_dict().items()})
    with torch.no_grad():
        policy.last.norm.weight[0] = 1e6
    with pytest.raises(ValueError, match="last.norm.weight.*65504"):
        policy.save_pretrained(tmp_path / "half", half=True)


@pytest.mark.parametrize("change, message", [
    ({"model": "IDM"}, "describes a IDM"), ({"depth": 3}, "depth"),
    ({"n_buttons": 8}, r"heads.buttons.linear.bias is \(7,\)"),
    ({"blocks": 3}, "missing blocks.2"), ({"blocks": 1}, "extra blocks.1"),
])  # fmt: skip
def test_a_folder_that_does_not_fit_is_one_clear_error(tmp_path, change, message):
    Policy(SMALL).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        Policy.from_pretrained(tmp_path)


def test_missing_and_broken_files_are_one_clear_error(tmp_path):
    Policy(SMALL).save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.safetensors"):
        Policy.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="model.safetensors"):
        Policy.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="neither a folder"):
        Policy.from_pretrained(tmp_path / "nothing")


# ---- OpenAI's names


def build(name: str) -> Policy | IDM:
    """A full-size model without memory for its weights."""
    with torch.device("meta"):
        if name.endswith("idm"):
            return IDM(idm_config(INDEX[name]["constructor"]))
        return Policy(policy_config(INDEX[name]["constructor"]))


@pytest.mark.parametrize("name", INDEX)
def test_names_are_a_bijection_onto_the_complete_key_list(name):
    model, entry = build(name), INDEX[name]
    table, own = key_table(model), model.state_dict()
    assert list(table) == list(own)
    assert len(set(table.values())) == len(table) == entry["n_keys"]
    assert {theirs: list(own[ours].shape) for ours, theirs in table.items()} == {
        key: shape for key, (shape, _) in entry["tensors"].items()
    }
    assert {str(own[ours].dtype) for ours in own} == {f"torch.{dtype}" for _, dtype in entry["tensors"].values()}
    assert sum(tensor.numel() for tensor in own.values()) == entry["total_elements"]
    assert sum(p.numel() for p in model.parameters()) == entry["trainable_elements"]


@pytest.mark.parametrize("name", INDEX)
def test_our_sizes_are_the_released_ones(name):
    if name.endswith("idm"):
        assert build(name).config == IDMConfig()
    else:
        assert build(name).config == SIZES[name.rsplit("-", 1)[1]]


def write_released(folder, model, settings: dict):
    with open(folder / "m.model", "wb") as file:
        pickle.dump(settings, file)
    torch.save(to_released(model), folder / "m.weights")
    return folder / "m.model", folder / "m.weights"


def test_released_agent_round_trip(tmp_path):
    settings, golden = record("vpt_policy_tiny.config.json"), tensors("vpt_policy_tiny.weights.safetensors")
    policy = Policy(policy_config(settings))
    from_released(policy, golden)
    same(to_released(policy), {key: golden[key] for key in key_table(policy).values()})
    as_released = {
        "model": {"args": {"net": {"args": settings["policy_kwargs"]}, "pi_head_opts": settings["pi_head_kwargs"]}}
    }
    back = vpt.load_policy(*write_released(tmp_path, policy, as_released))
    same(back.state_dict(), policy.state_dict())
    back.save_pretrained(tmp_path / "ours")
    same(to_released(Policy.from_pretrained(tmp_path / "ours")), to_released(policy))


def test_released_idm_round_trip(tmp_path):
    settings = record("idm_tiny.config.json")
    idm = IDM(idm_config(settings))
    from_released(idm, tensors("idm_tiny.weights.safetensors"))
    nested = {
        "model": {"args": {"net": {"args": settings["idm_net_kwargs"]}, "pi_head_opts": settings["pi_head_kwargs"]}}
    }
    back = vpt.load_idm(*write_released(tmp_path, idm, nested))
    same(back.state_dict(), idm.state_dict())
    with pytest.raises(ValueError, match="not an agent"):
        vpt.load_policy(tmp_path / "m.model", tmp_path / "m.weights")


@pytest.mark.parametrize("model", [
    Policy(replace(SMALL, n_buttons=8641)), IDM(replace(SMALL_IDM, lastlayer="discarded")),
], ids=["agent", "idm"])  # fmt: skip
def test_the_converter_goes_both_ways(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "ours")
    run(main, Options, ["--folder", str(tmp_path / "ours"), "--out", str(tmp_path / "theirs")])
    files = [str(tmp_path / f"theirs.{ending}") for ending in ("model", "weights")]
    run(main, Options, ["--model", files[0], "--weights", files[1], "--out", str(tmp_path / "again")])
    back = type(model).from_pretrained(tmp_path / "again")
    same(back.state_dict(), model.state_dict())
    assert back.config == model.config
    assert type(model).__name__ in capsys.readouterr().out and not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("flags, says", [
    (["--out", "x"], "give --model and --weights, or --folder"),
    (["--folder", "nowhere", "--out", "x"], "nowhere/config.json is missing"),
    (["--model", "nowhere.model", "--weights", "w", "--out", "x"], "nowhere.model"),
])  # fmt: skip
def test_the_converter_says_what_is_wrong(flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        run(main, Options, flags)
    assert says in str(stop.value) + capsys.readouterr().err


def test_released_weights_load_strictly():
    policy = Policy(SMALL)
    weights = to_released(policy)
    weights["net.extra"] = torch.zeros(1)
    weights["net.final_ln.bias"] = torch.zeros(3)
    del weights["pi_head.camera.linear_layer.bias"]
    with pytest.raises(ValueError) as error:
        from_released(policy, weights, "x.weights")
    for part in (
        "x.weights",
        "extra net.extra",
        "net.final_ln.bias is (3,)",
        "missing pi_head.camera.linear_layer.bias",
    ):
        assert part in str(error.value)


def test_the_normalisers_names_may_vary_and_are_told():
    policy, other = Policy(SMALL), Policy(SMALL)
    weights = to_released(policy)
    weights["value_head.normalizer.mean_sq"] = weights.pop("value_head.normalizer.running_mean_sq") + 2
    weights["value_head.normalizer.debiasing_term"] = torch.ones(1)  # a scalar with an axis
    found = from_released(other, weights)
    assert found["value.normaliser.mean_square"] == "value_head.normalizer.mean_sq"
    assert found["value.normaliser.mean"] == "value_head.normalizer.running_mean"
    assert other.value.normaliser.mean_square.item() == 2 and other.value.normaliser.weight.item() == 1


@pytest.mark.parametrize("change, message", [
    ({"recurrence_type": "lstm"}, "lstm"), ({"pointwise_use_activation": True}, "pointwise_use_activation"),
    ({"attention_mask_style": "none"}, "not an agent"),
])  # fmt: skip
def test_another_architecture_is_refused(change, message):
    settings = record("vpt_policy_tiny.config.json")
    with pytest.raises(ValueError, match=message):
        policy_config({**settings, "policy_kwargs": {**settings["policy_kwargs"], **change}})


# ---- hostile pickles


class Payload:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(marker) -> dict:
    command = f"touch {marker}"
    rebuild = torch._utils._rebuild_tensor_v2
    return {
        "os.system": (Payload(os.system, command), "system"),
        "builtins.eval": (Payload(eval, f"__import__('os').system({command!r})"), "builtins.eval"),
        "builtins.exec": (Payload(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        "open": (Payload(open, str(marker), "w"), "open"),
        "nested": ({"model": {"args": [1, (2, Payload(os.system, command))]}}, "system"),
        "getattr": (Payload(getattr, Payload(__import__, "os"), "system"), "getattr"),
        "torch tensor": ({"model": torch.zeros(2)}, "torch"),
        "torch reducer": (Payload(rebuild, None, 0, (1,), (1,), False, None), "_rebuild_tensor_v2"),
        "pickle in pickle": (Payload(pickle.loads, pickle.dumps(Payload(os.system, command))), "loads"),
        "a class": ({"model": SMALL}, "PolicyConfig|_reconstructor"),
    }


@pytest.mark.parametrize("name", payloads("x"))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_settings_are_refused_by_name_and_run_nothing(tmp_path, name, protocol):
    marker = tmp_path / "ran"
    payload, asked = payloads(marker)[name]
    (tmp_path / "evil.model").write_bytes(pickle.dumps(payload, protocol=protocol))
    with pytest.raises(ValueError, match=asked) as error:
        read_plain_pickle(tmp_path / "evil.model")
    assert "evil.model" in str(error.value) and not marker.exists()


def test_the_payloads_do_run_in_an_ordinary_unpickler(tmp_path):
    """Otherwise the test above could not fail."""
    payload, _ = payloads(tmp_path / "ran")["nested"]
    pickle.loads(pickle.dumps(payload))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"hello", pickle.dumps([1, 2]), pickle.dumps({"model": 1}, protocol=4)[:-4]])
def test_a_broken_settings_file_is_one_clear_error(tmp_path, data):
    (tmp_path / "bad.model").write_bytes(data)
    with pytest.raises(ValueError, match="bad.model"):
        read_plain_pickle(tmp_path / "bad.model")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_hostile_weights_are_refused(tmp_path):
    marker = tmp_path / "ran"
    torch.save({"w": Payload(os.system, f"touch {marker}")}, tmp_path / "evil.weights")
    (tmp_path / "plain.weights").write_bytes(pickle.dumps(Payload(os.system, f"touch {marker}")))
    for name in ("evil.weights", "plain.weights"):
        with pytest.raises(ValueError, match=name):
            read_weights_file(tmp_path / name)
    torch.save([1], tmp_path / "list.weights")
    with pytest.raises(ValueError, match="something else"):
        read_weights_file(tmp_path / "list.weights")
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_settings_are_read(tmp_path, protocol):
    content = {"a": [1, 2.5, (True, None)], "b": {"c": "text", "d": {1, 2}, "e": OrderedDict(f=10**40)}}
    (tmp_path / "fine.model").write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_plain_pickle(tmp_path / "fine.model") == content


def test_what_the_released_idm_lacks_is_kept_in_the_config(tmp_path):
    idm = IDM(replace(SMALL_IDM, max_distance=3))
    idm.save_pretrained(tmp_path / "m")
    back = IDM.from_pretrained(tmp_path / "m")
    assert back.config == idm.config and back.config.lastlayer == "used"
    same(back.state_dict(), idm.state_dict())
    for wrong in (dict(lastlayer="maybe"), dict(max_distance=-1)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(SMALL_IDM, **wrong)
    with pytest.raises(SystemExit, match="max_distance 3 cannot be written as OpenAI's files"):
        run(main, Options, ["--folder", str(tmp_path / "m"), "--out", str(tmp_path / "theirs")])
    with_last_action(Policy(SMALL)).save_pretrained(tmp_path / "m")
    with pytest.raises(SystemExit, match="told what it did cannot be written as OpenAI's files"):
        run(main, Options, ["--folder", str(tmp_path / "m"), "--out", str(tmp_path / "theirs")])
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


# ---- small files, large cost

DEEP = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60  # a tuple of itself twice, sixty times over
COPIES = b"\x80\x02c__builtin__\nset\nq\x00](" + b"M\x01\x02" * 9_000 + b"eq\x01" + b"h\x00h\x01\x85R0" * 9_000 + b"}."


PICKLES = {
    "memo index": b"\x80\x02}r\xff\xff\xff\x7f.", "length of bytes": b"\x80\x04\x8e" + b"\xff" * 5 + bytes(3) + b".",
    "hash": DEEP + b"}h\x00Ns.", "copies": COPIES, "bytearray": b"\x80\x05\x96\x00\x00\x00\x00\xff\x00\x00\x00.",
    "frame": b"\x80\x04\x95" + b"\xff" * 7 + b"\x00}.", "nesting": DEEP + b".",
    "size": b"\x80\x02}" + b"M\x01\x02N" * 300_000 + b".",
}  # fmt: skip


def test_small_pickles_take_little_and_end_soon(tmp_path):
    for name, content in PICKLES.items():
        (tmp_path / f"{name}.model").write_bytes(content)
    paths = [str(tmp_path / f"{name}.model") for name in PICKLES]
    for path, (said, seconds, megabytes) in measured("policy_config(read_plain_pickle(path))", paths).items():
        assert said.startswith("ValueError: ") and len(said) < 700 and seconds < 5 and megabytes < 300, (path, said)


CHANGES = ({"width": 10**9}, {"width": 999_000}, {"blocks": 10**9}, {"blocks": 900_000}, {"impala_width": 1e300},
           {"px": -1}, {"impala_channels": [16] * 20_000}, {"n_buttons": 10**6}, {"width": "16"}, {"width": None},
           {"temperature": []}, {"heads": 0}, {"odd": ["x"] * 100_000})  # fmt: skip


def test_absurd_sizes_are_one_line_before_they_take_memory(tmp_path):
    for number, change in enumerate(CHANGES):
        Policy(SMALL).save_pretrained(tmp_path / str(number))
        config = tmp_path / f"{number}/config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | change))
    paths = [str(tmp_path / str(number)) for number in range(len(CHANGES))]
    for path, (said, seconds, megabytes) in measured("Policy.from_pretrained(path)", paths).items():
        assert said.startswith(f"ValueError: {path}") and len(said) < 2000, (path, said)
        assert seconds < 5 and megabytes < 300, (path, said, seconds, megabytes)


@pytest.mark.parametrize("what", ["deflated", "a storage larger than its file", "a tensor larger than its storage"])
def test_weights_are_as_large_as_their_file(what, tmp_path):
    path, weights = tmp_path / "w.weights", {"a": torch.zeros(100)}
    torch.save(weights, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    pressed = zipfile.ZIP_DEFLATED if what == "deflated" else zipfile.ZIP_STORED
    names = next(name for name in entries if name.endswith("data.pkl"))
    if what == "deflated":
        entries[next(name for name in entries if name.endswith("data/0"))] = bytes(400_000_000)
    elif what.startswith("a storage"):
        assert entries[names].count(b"Kd") == 2  # how many elements it has, and the shape
        entries[names] = entries[names].replace(b"Kd", b"J\x00\x00\x00\x7f")
    else:
        head, _, tail = entries[names].rpartition(b"Kd")
        entries[names] = head + b"J\x00\x00\x00\x7f" + tail
    with zipfile.ZipFile(path, "w", pressed) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    ((said, seconds, megabytes),) = measured("read_weights_file(path)", [str(path)]).values()
    assert said.startswith(f"ValueError: {path} cannot be read as weights") and seconds < 5 and megabytes < 300


@pytest.mark.parametrize("new_format", [True, False])
def test_weights_of_both_formats_are_read(new_format, tmp_path):
    policy = Policy(SMALL)
    torch.save(OrderedDict(policy.state_dict()), tmp_path / "w.weights", _use_new_zipfile_serialization=new_format)
    same(read_weights_file(tmp_path / "w.weights"), policy.state_dict())


def measured(expression: str, paths: list[str]) -> dict[str, tuple[str, float, float]]:
    """What it ends with for each path, in a process of its own: seconds of a processor, and MB beyond the imports'."""
    program = f"""
import json, os, resource, sys, time
from vpt.policy import Policy
from vpt.released import policy_config, read_plain_pickle, read_weights_file
for path in sys.argv[1:]:
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        used = lambda: (time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
        before, said = used(), "nothing"
        try:
            {expression}
        except Exception as error:
            said = f"{{type(error).__name__}}: {{error}}"
        print(json.dumps([path, [said, *(b - a for a, b in zip(before, used()))]]), flush=True)
        os._exit(0)
    os.wait()"""
    done = subprocess.run([sys.executable, "-c", program, *paths], cwd=ROOT, capture_output=True, text=True)
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0 and list(found) == paths, done.stdout[-500:] + done.stderr[-2000:]
    return found

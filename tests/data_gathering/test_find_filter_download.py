"""Finding, filtering and downloading, against a video site on this machine that misbehaves."""

import json

import pytest
from support.places import SAMPLES

from data_gathering import download, filter, find
from data_gathering.ledger import Ledger
from data_gathering.rehearsal_site import rehearsal_site
from data_gathering.site import check_address, file_name
from vpt.frames import count_frames

SAMPLE = (SAMPLES / "ch0-00.mp4").read_bytes()
GENERIC = ("generic", "html5")  # pages of any site, and the players in them


@pytest.fixture
def site():
    with rehearsal_site() as running:
        for name in ("one", "two", "three"):
            running.video(name, SAMPLE, f"Let's play {name}", "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n")
        running.feed("/feed", ["one", "two", "three"])
        yield running


def found(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- ledger


def test_a_ledger_adds_each_key_once_and_survives_a_kill(tmp_path):
    ledger = Ledger(tmp_path / "a.jsonl")
    assert ledger.add({"key": "a", "n": 1}) and not ledger.add({"key": "a", "n": 2}) and ledger.add({"key": "b"})
    with open(tmp_path / "a.jsonl", "a") as file:
        file.write('{"key": "c", "ti')  # killed while writing
    again = Ledger(tmp_path / "a.jsonl")
    assert [record["key"] for record in again] == ["a", "b"] and again.add({"key": "c"})
    assert [record["key"] for record in Ledger(tmp_path / "a.jsonl")] == ["a", "b", "c"]
    (tmp_path / "a.jsonl").write_text('{"key": "a"}\nnonsense\n')
    with pytest.raises(ValueError, match="a.jsonl, line 2: no JSON object"):
        Ledger(tmp_path / "a.jsonl")


# ---- addresses and names


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "javascript:1", "/etc", "http://", "data:x"])
def test_only_http_is_followed(address):
    with pytest.raises(ValueError, match="no http"):
        check_address(address)


@pytest.mark.parametrize("key", ["youtube:../../etc/passwd", "x:" + "a" * 300, "x:a/b\\c:d\n", "x:äöü", "x:.", "y:con"])
def test_no_key_becomes_a_path_and_different_keys_stay_different(key, tmp_path):
    name = file_name(key)
    assert (tmp_path / f"{name}.mp4").resolve().parent == tmp_path.resolve() and len(name) < 100
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert file_name(key) != file_name(key + "?") and file_name("youtube:dQw4w9WgXcQ") == "youtube-dQw4w9WgXcQ"


# ---- find


def test_feeds_pages_and_lists_are_found_once(site, tmp_path, capsys):
    out, ids = tmp_path / "1_found.jsonl", tmp_path / "ids.txt"
    ids.write_text(f"# mine\n{site.address}/watch/two\n\n{site.address}/watch/missing\n")
    asked = dict(out=str(out), extractors=GENERIC, wait_s=0.0)
    assert find.main(find.Options(sources=(f"{site.address}/feed",), **asked))["new"] == 3
    with pytest.raises(SystemExit):
        find.main(find.Options(ids=str(ids), **asked))
    said = capsys.readouterr()
    assert "failed:" in said.err and "404" in said.err
    assert find.main(find.Options(sources=(f"{site.address}/feed",), **asked)) == {"new": 0, "known": 3, "failed": 0}
    records = found(out)
    assert len({record["key"] for record in records}) == len(records)
    assert all(record["url"].startswith(site.address) and record["from"] for record in records)


def test_a_refusal_for_a_while_is_waited_out_and_other_sites_are_not_asked(site, tmp_path):
    site.refuse["/watch/one"] = [503, 429]
    records = list(find.listed(f"{site.address}/watch/one", "x", find.Options(extractors=GENERIC, wait_s=0.01)))
    assert len(records) == 1 and site.asked["/watch/one"] >= 3
    with pytest.raises(ValueError, match=site.address):
        list(find.listed(f"{site.address}/watch/two", "x", find.Options(wait_s=0.0)))  # YouTube only
    assert site.asked["/watch/two"] == 0


def test_minedojo_s_index_is_streamed(tmp_path):
    index = tmp_path / "youtube_full.json"
    entries = [{"id": f"abcdefghij{i}", "title": f"Survival Ep. {i}", "link": "x", "view_count": 5, "duration": 900.0}
               for i in range(5)]
    index.write_text(json.dumps(entries))
    out = tmp_path / "1_found.jsonl"
    assert find.main(find.Options(minedojo=str(index), out=str(out)))["new"] == 5
    assert found(out)[3]["key"] == "youtube:abcdefghij3" and found(out)[3]["duration_s"] == 900
    index.write_text('[{"id": "abcdefghij9", "title": "t"}, {"id": "../x"}')
    with pytest.raises(SystemExit):
        find.main(find.Options(minedojo=str(index), out=str(out)))
    assert len(found(out)) == 6  # what came before the fault is kept


def test_nothing_to_look_for_is_said(tmp_path):
    with pytest.raises(ValueError, match="nothing to look for"):
        find.main(find.Options(out=str(tmp_path / "f.jsonl")))


# ---- filter


@pytest.mark.parametrize(("title", "broken"), [
    ("Minecraft Survival Let's Play - Episode 12: A New Base!", []),
    ("Hardcore Minecraft Day 300", []),
    ("Minecraft Longplay - Peaceful Evening Building (no commentary) Part 4", []),
    ("Let's Play Minecraft Vanilla E05 - Diamonds", []),
    ("Top 10 Minecraft Seeds for 1.20!", ["played", "about, not played"]),
    ("How to build a starter house in survival", ["about, not played"]),
    ("Minecraft Bedwars gameplay but I can't stop", ["other modes"]),
    ("RLCraft Let's Play ep. 3 (modded)", ["modified"]),
    ("Minecraft survival #shorts", ["shorts"]),
    ("Minecraft Song - Diggy Diggy Hole", ["played", "about, not played"]),
    ("my cat", ["played"]),
])  # fmt: skip
def test_each_rule_on_titles(title, broken):
    rules = filter.read_rules(filter.RULES)
    record = {"title": title, "duration_s": 1200, "live": False, "language": None}
    assert [rule.name for rule in rules if rule.broken_by(record)] == broken


@pytest.mark.parametrize(("change", "broken"), [
    ({"duration_s": 449}, ["short"]), ({"duration_s": 450}, []), ({"duration_s": 30_000}, ["endless"]),
    ({"duration_s": None}, []), ({"live": True}, ["live"]), ({"language": "de"}, ["language"]),
    ({"language": "en-GB"}, []),
])  # fmt: skip
def test_each_rule_on_other_fields(change, broken):
    record = {"title": "Minecraft survival ep 1", "duration_s": 1200, "live": False, "language": "en", **change}
    assert [rule.name for rule in filter.read_rules(filter.RULES) if rule.broken_by(record)] == broken


def test_filter_writes_what_was_kept_and_why_the_rest_was_not(tmp_path, capsys):
    ledger = Ledger(tmp_path / "1_found.jsonl")
    for i, title in enumerate(["Survival ep 1", "my cat", "Survival ep 2 #shorts"]):
        ledger.add({"key": f"x:{i}", "title": title, "duration_s": 900, "live": False})
    totals = filter.main(filter.Options(found=str(ledger.path), out=str(tmp_path / "2_kept.jsonl")))
    assert totals["kept"] == 1 and totals["dropped"] == 2 and totals["shorts"] == totals["played"] == 1
    assert [record["key"] for record in found(tmp_path / "2_kept.jsonl")] == ["x:0"]
    assert [record["dropped_by"] for record in found(tmp_path / "2_dropped.jsonl")] == [["played"], ["shorts"]]
    assert "1 of 3 kept" in capsys.readouterr().out


@pytest.mark.parametrize(("rules", "says"), [
    ('[[rule]]\nname = "a"\nfield = "colour"\ndrop = "x"', "rule 1 \\(a\\): field is one of"),
    ('[[rule]]\nname = "a"\nfield = "title"\ndrop = "("', "rule 1 \\(a\\): .*unterminated"),
    ('[[rule]]\nname = "a"\nfield = "title"', "needs drop, keep"), ("[[rule]", "rules.toml"), ("", "'rule'"),
])  # fmt: skip
def test_wrong_rules_are_named(tmp_path, rules, says):
    (tmp_path / "rules.toml").write_text(rules)
    with pytest.raises(ValueError, match=says):
        filter.read_rules(tmp_path / "rules.toml")


# ---- download


@pytest.fixture
def kept(site, tmp_path):
    ledger = Ledger(tmp_path / "2_kept.jsonl")
    for name in ("one", "two", "three"):
        ledger.add({"key": f"generic:{name}", "url": f"{site.address}/watch/{name}", "title": name,
                    "channel": "A & B/../C", "from": "test"})  # fmt: skip
    return ledger


def fetch(kept, **more):
    options = dict(kept=str(kept.path), out=str(kept.path.parent / "3_video"), extractors=GENERIC, pause_s=0.0,
                   wait_s=0.01, keep_free_gb=0.0)  # fmt: skip
    return download.main(download.Options(**{**options, **more}))


def test_videos_come_once_with_their_captions_and_credits(site, kept, tmp_path):
    assert fetch(kept) == {"new": 3, "known": 0, "failed": 0}
    folder = tmp_path / "3_video"
    for name in ("one", "two", "three"):
        assert (folder / f"generic-{name}.mp4").read_bytes() == SAMPLE
        meta = json.loads((folder / f"generic-{name}.meta.json").read_text())
        assert "/" not in meta["channel"] and ".." not in meta["channel"] and meta["captions"]
    assert {row["channel"] for row in found(tmp_path / "credits.jsonl")} == {"A & B/../C"}
    rows = found(tmp_path / "3_downloaded.jsonl")
    assert len(rows) == 3 and all(row["frames"] == count_frames(folder / row["file"]) for row in rows)
    before = dict(site.asked)
    assert fetch(kept) == {"new": 0, "known": 3, "failed": 0} and dict(site.asked) == before
    assert not [path for path in folder.iterdir() if path.suffix in (".part", ".tmp", ".ytdl")]


def test_stalls_refusals_redirects_and_cut_files_are_lived_with(site, kept, tmp_path):
    site.refuse["/watch/one"], site.refuse["/files/one.mp4"] = [429], [503, 503]
    site.stall["/files/two.mp4"] = 0.5
    site.cut["/files/two.mp4"] = 10_000  # the connection breaks once; the rest is asked for by range
    site.redirect["/watch/three"] = "/watch/elsewhere"
    site.video("elsewhere", (SAMPLES / "ch1-00.mp4").read_bytes())
    assert fetch(kept) == {"new": 3, "known": 0, "failed": 0}
    assert (tmp_path / "3_video/generic-two.mp4").read_bytes() == SAMPLE
    assert site.bytes_sent["/files/two.mp4"] < 1.5 * len(SAMPLE)
    assert (tmp_path / "3_video/generic-three.mp4").read_bytes() == (SAMPLES / "ch1-00.mp4").read_bytes()


def test_a_broken_video_is_named_the_rest_comes_and_next_time_it_is_tried_again(site, kept, tmp_path, capsys):
    whole = site.files["/files/two.mp4"]
    site.files["/files/two.mp4"] = whole[: len(whole) // 2]  # the site itself has half a file
    with pytest.raises(SystemExit):
        fetch(kept)
    said = capsys.readouterr()
    assert "failed: generic:two" in said.err and "2 new, 0 there before, 1 failed" in said.out
    assert not (tmp_path / "3_video/generic-two.mp4").exists()
    site.files["/files/two.mp4"] = whole
    assert fetch(kept) == {"new": 1, "known": 2, "failed": 0}


def test_a_full_disk_stops_it_and_other_sites_are_refused(site, kept, capsys):
    with pytest.raises(SystemExit):
        fetch(kept, keep_free_gb=1e9)
    assert "GB are free" in capsys.readouterr().err and not site.asked
    with pytest.raises(SystemExit):
        fetch(kept, extractors=("youtube.*",))
    assert not site.asked

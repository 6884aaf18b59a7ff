"""Finding, filtering and downloading, against a video site on this machine that misbehaves."""

import json
import shutil
import subprocess
import sys

import av
import pytest
from support.places import ROOT, SAMPLES

from data_gathering import download, filter, find
from data_gathering.ledger import Ledger, read_ledger
from data_gathering.rehearsal_site import rehearsal_site
from data_gathering.site import check_address, file_name, seconds_of
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


def test_refused_captions_cost_the_captions_and_not_the_video(site, kept, tmp_path):
    site.refuse["/files/one.vtt"] = [429] * 1000
    site.refuse["/files/two.vtt"] = [429, 503]
    assert fetch(kept, attempts=3) == {"new": 3, "known": 0, "failed": 0}
    rows = {row["key"]: row for row in found(tmp_path / "3_downloaded.jsonl")}
    assert rows["generic:one"]["captions"] == [] and "429" in rows["generic:one"]["captions_refused"]
    assert rows["generic:two"]["captions"] and "captions_refused" not in rows["generic:two"]
    assert (tmp_path / "3_video/generic-one.mp4").read_bytes() == SAMPLE


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_was_cut_off_goes_on_also_at_its_very_end(share, site, kept, tmp_path):
    part = tmp_path / "3_video/.coming/generic-two.mp4.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(SAMPLE[: round(share * len(SAMPLE))])
    assert fetch(kept) == {"new": 3, "known": 0, "failed": 0}
    assert (tmp_path / "3_video/generic-two.mp4").read_bytes() == SAMPLE
    assert site.bytes_sent["/files/two.mp4"] <= len(SAMPLE) - round(share * len(SAMPLE))
    assert not part.parent.exists()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs Debian's ffmpeg")
def test_pictures_and_sound_that_a_site_has_apart_are_joined_at_the_height_asked_for(site, tmp_path):
    for height in (240, 480, 720):
        ffmpeg("-f", "lavfi", "-i", f"testsrc=s={2 * height}x{height}:r=20:d=2", "-pix_fmt", "yuv420p",
               tmp_path / f"{height}.mp4")  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=2", "-c:a", "aac", tmp_path / "sound.m4a")
    pictures = {height: (tmp_path / f"{height}.mp4").read_bytes() for height in (240, 480, 720)}
    site.apart("four", pictures, (tmp_path / "sound.m4a").read_bytes())
    ledger = Ledger(tmp_path / "2_kept.jsonl")
    ledger.add({"key": "generic:four", "url": f"{site.address}/dash/four.mpd", "title": "four", "duration_s": "2"})
    assert fetch(ledger) == {"new": 1, "known": 0, "failed": 0}
    with av.open(str(tmp_path / "3_video/generic-four.mp4")) as joined:
        assert joined.streams.video[0].height == 480 and len(joined.streams.audio) == 1
    assert sorted(path.name for path in (tmp_path / "3_video").iterdir()) == [
        "generic-four.meta.json", "generic-four.mp4"]  # fmt: skip


def ffmpeg(*arguments) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", *map(str, arguments)], check=True)


@pytest.mark.parametrize("begin", [100_000, 250_000, 400_000])
def test_bytes_of_another_file_are_found_wherever_they_are(begin, tmp_path):
    other = (SAMPLES / "ch1-00.mp4").read_bytes()
    mixed = SAMPLE[:begin] + other[begin : begin + 20_000] + SAMPLE[begin + 20_000 :]
    (tmp_path / "mixed.mp4").write_bytes(mixed)
    assert count_frames(tmp_path / "mixed.mp4") == 1000  # the header knows nothing of it
    with pytest.raises(ValueError, match="mixed.mp4 cannot be read as a video"):
        download.check(tmp_path / "mixed.mp4", None)
    assert not (tmp_path / "mixed.mp4").exists()


def test_no_video_is_seen_by_other_programs_before_it_is_whole(site, kept, tmp_path):
    site.files["/files/two.mp4"] = SAMPLE[: len(SAMPLE) // 2]
    with pytest.raises(SystemExit):
        fetch(kept)
    assert not list((tmp_path / "3_video").glob("generic-two*"))


def test_a_video_that_was_there_before_it_could_be_noted_is_not_asked_for_again(site, kept, tmp_path):
    fetch(kept)
    (tmp_path / "3_downloaded.jsonl").unlink()
    site.asked.clear()
    assert fetch(kept) == {"new": 3, "known": 0, "failed": 0} and not site.asked
    assert all(row["captions"] and row["frames"] == 1000 for row in found(tmp_path / "3_downloaded.jsonl"))


def test_one_that_nobody_foresaw_is_named_and_the_rest_comes(site, kept, tmp_path, capsys):
    for number, odd in enumerate(({"url": ["no", "text"]}, {}, {"url": None, "title": 5}, {"url": "http://[::/x"})):
        kept.add({"key": f"odd:{number}", **odd})
    with pytest.raises(SystemExit):
        fetch(kept)
    said = capsys.readouterr()
    assert "3 new, 0 there before, 4 failed" in said.out and said.err.count("failed: odd:") == 4


# ---- two at once


def program(name: str, *flags) -> subprocess.Popen:
    command = [sys.executable, "-m", f"data_gathering.{name}", *map(str, flags)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_of_two_downloads_into_a_folder_one_is_refused_and_no_byte_is_foreign(site, kept, tmp_path):
    for name in ("one", "two", "three"):
        site.stall[f"/files/{name}.mp4"] = 2.0
    flags = ("--kept", kept.path, "--out", tmp_path / "3_video", "--extractors", *GENERIC, "--pause-s", 0, "--wait-s",
             0.01, "--keep-free-gb", 0)  # fmt: skip
    both = [program("download", *flags) for _ in range(2)]
    said = sorted((one.communicate(timeout=120)[1], one.returncode) for one in both)
    (_, status), (refusal, refused) = sorted(said, key=lambda pair: "is being written" in pair[0])
    assert status == 0 and refused == 1 and "3_video is being written by" in refusal and "Traceback" not in refusal
    assert all((tmp_path / f"3_video/generic-{name}.mp4").read_bytes() == SAMPLE for name in ("one", "two", "three"))
    assert len(found(tmp_path / "3_downloaded.jsonl")) == len(found(tmp_path / "credits.jsonl")) == 3
    assert fetch(kept) == {"new": 0, "known": 3, "failed": 0}  # the lock went with its process


def test_of_two_finds_into_a_ledger_one_is_refused_and_no_row_is_double(site, tmp_path):
    site.stall["/feed"] = 2.0
    flags = ("--sources", f"{site.address}/feed", "--extractors", *GENERIC, "--out", tmp_path / "1_found.jsonl")
    both = [program("find", *flags) for _ in range(2)]
    said = sorted((one.returncode, one.communicate(timeout=120)[1]) for one in both for _ in [one.wait(120)])
    assert [status for status, _ in said] == [0, 1] and "1_found.jsonl is being written by" in said[1][1]
    assert len(found(tmp_path / "1_found.jsonl")) == 3


# ---- lists and indices as people have them


def test_an_index_that_is_no_list_is_an_error_and_a_bad_entry_costs_only_itself(tmp_path, capsys):
    index, out = tmp_path / "youtube_full.json", tmp_path / "1_found.jsonl"
    good = [{"id": f"abcdefghij{i}", "title": "a\u2028b \ud83d", "duration": "533"} for i in range(3)]
    for content in ({"items": good}, "abcdefghij1", 5, None):
        index.write_text(json.dumps(content))
        with pytest.raises(SystemExit):
            find.main(find.Options(minedojo=str(index), out=str(out)))
        assert "is no list of videos" in capsys.readouterr().err
    index.write_text(json.dumps([good[0], "x", {"id": ["y"]}, [[[1]]], good[1], {"id": "abcdefghij\n"}, good[2]]))
    with pytest.raises(SystemExit):
        find.main(find.Options(minedojo=str(index), out=str(out)))
    said = capsys.readouterr()
    assert "3 new" in said.out and said.err.count("no YouTube video") == 4
    rows = read_ledger(out, "find")
    assert [row["duration_s"] for row in rows] == [533.0] * 3 and rows[0]["title"] == "a\u2028b ?"
    assert filter.main(filter.Options(found=str(out), out=str(tmp_path / "2_kept.jsonl")))["dropped"] == 3


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\xff\xfe\x00x"])
def test_a_list_of_ids_that_names_nothing_is_an_error(content, tmp_path):
    (tmp_path / "ids.txt").write_bytes(content)
    with pytest.raises(ValueError, match="ids.txt .*takes an id or an address a line"):
        find.main(find.Options(ids=str(tmp_path / "ids.txt"), out=str(tmp_path / "f.jsonl")))


@pytest.mark.parametrize(("said", "seconds"), [
    ("533", 533), ("8:53", 533), (533.5, 533.5), (None, None), (True, None), (-1, None), (float("nan"), None),
    (float("inf"), None), ("soon", None), ([533], None), ("", None), (10**400, None),
])  # fmt: skip
def test_durations_as_sites_write_them(said, seconds):
    assert seconds_of(said) == seconds


@pytest.mark.parametrize("length", ["long", float("nan"), float("inf"), True, [450], {"s": 1}])
def test_what_is_no_number_is_an_unknown_number(tmp_path, length):
    """One odd row of a site never stops the others, and is kept or dropped as the rule says of unknown values."""
    def rules(unknown_is: str) -> list[str]:
        path = tmp_path / "rules.toml"
        path.write_text(f'[[rule]]\nname = "short"\nfield = "duration_s"\nleast = 0\nunknown_is = "{unknown_is}"\n')
        return [rule.name for rule in filter.read_rules(path) if rule.broken_by({"duration_s": length})]

    assert rules("kept") == [] and rules("dropped") == ["short"]


@pytest.mark.parametrize("rules", ["rule = [1]", '[[rule]]\nname = "a"\nfield = "duration_s"\nleast = "x"'])
def test_rules_of_another_form_are_named(tmp_path, rules):
    (tmp_path / "rules.toml").write_text(rules)
    with pytest.raises(ValueError, match="rules.toml, "):
        filter.read_rules(tmp_path / "rules.toml")

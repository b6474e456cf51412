"""Members, jobs and clicks by hand, and every mistake that can be made with them."""

import gzip
from pathlib import Path

import pytest
import yaml
from conversions import body, refused

from dataset_prep.__main__ import main

CLICKS = """\
member_id,job_id,time,action
007,J1,2024-01-01,click
007,J1,2024-01-02,Apply
007,J1,2024-01-03,apply
007,J2,2024-01-01T00:00:01Z,save
NA,J1,2024-01-01,click
NA,J2,2024-01-01,click
NA,J3,2024-01-01,dismiss
9,J2,2024-01-01,view
"""
MEMBERS = 'member_id,headline,since\nNA,"Cook, pastry",2020-01-01\n007,Spy,2010-01-01\n8,never clicked,2011-01-01\n'
JOBS = "job_id,title,description\nJ2,Chef,null\nJ1,Agent,\nJ1,again,again\n"
CORE = ("--min-user", "2", "--min-item", "2")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("clicks", CLICKS), ("members", MEMBERS), ("jobs", JOBS)):
        Path(f"{name}.csv").write_text(text)


def convert(*words: str) -> int:
    return main(["jobs", *words, "--out", "dataset/tiny"])


ALL = ("clicks.csv", "--members", "members.csv", "--jobs", "jobs.csv", *CORE)


def refusal(capsys, *words: str) -> str:
    return refused(capsys, convert(*words))


def test_the_whole_way(capsys):
    assert convert(*ALL) == 0
    new_year = "1704067200"
    assert body("inter") == [
        ["007", "J1", "3", "1704153600"],  # the heaviest, and of these the first
        ["007", "J2", "2", "1704067201"],
        ["NA", "J1", "1", new_year],
        ["NA", "J2", "1", new_year],
    ]
    assert body("user") == [["NA", "Cook, pastry"], ["007", "Spy"]]
    assert body("item") == [["J2", "Chef", "null"], ["J1", "Agent", ""]]
    settings = yaml.safe_load(Path("dataset/tiny/tiny.yaml").read_text())
    assert settings["text_fields"] == {"item": ["title", "description"], "user": ["headline"]}
    assert settings["TIME_FIELD"] == "timestamp"
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "| weight of at least 1 | 1 | 7 | 3 | 2 |" in card
    assert "| one interaction a pair, the highest | 2 | 5 | 3 | 2 |" in card
    assert "| at least 2 a user, 2 an item, in 1 rounds | 1 | 4 | 2 | 2 |" in card
    assert "the member is 'member_id', the job 'job_id'." in card
    assert "Times: 'time', dates of ISO 8601, UTC unless they say otherwise." in card
    assert "Weights of actions, in 'action': apply 3, save 2, click 1, view 1, dismiss 0." in card
    biographies = "Biographies: headline of members.csv (cells between commas, maybe in quotes), found by"
    assert f"{biographies} 'member_id'; unread are 'since'." in card
    assert "Wrote dataset/tiny: 2 users, 2 items, 4 interactions" in capsys.readouterr().out


def test_a_dry_run_tells_and_writes_nothing(capsys):
    before = sorted(Path().iterdir())
    assert convert(*ALL, "--dry-run") == 0
    assert sorted(Path().iterdir()) == before
    assert capsys.readouterr().out == (
        "Interactions: clicks.csv (cells between commas, maybe in quotes); the member is 'member_id', the job "
        "'job_id'.\n"
        "Times: 'time', dates of ISO 8601, UTC unless they say otherwise.\n"
        "Weights of actions, in 'action': apply 3, save 2, click 1, view 1, dismiss 0. The column rating holds them.\n"
        "Biographies: headline of members.csv (cells between commas, maybe in quotes), found by 'member_id'; "
        "unread are 'since'.\n"
        "Contents: title, description of jobs.csv (cells between commas, maybe in quotes), found by 'job_id'.\n"
        "\n"
        "first rows of .inter\n"
        "  user_id '007', item_id 'J1', rating '1.0', timestamp '1704067200.0'\n"
        "  user_id '007', item_id 'J1', rating '3.0', timestamp '1704153600.0'\n"
        "  user_id '007', item_id 'J1', rating '3.0', timestamp '1704240000.0'\n"
        "\n"
        "first rows of .item\n"
        "  item_id 'J2'\n    title 'Chef'\n    description 'null'\n"
        "  item_id 'J1'\n    title 'Agent'\n    description ''\n"
        "  item_id 'J1'\n    title 'again'\n    description 'again'\n"
        "\n"
        "first rows of .user\n"
        "  user_id 'NA'\n    headline 'Cook, pastry'\n"
        "  user_id '007'\n    headline 'Spy'\n"
        "  user_id '8'\n    headline 'never clicked'\n"
        "\n"
        "interactions      users      items  after\n"
        "           8          3          3  as read\n"
        "           7          3          2  weight of at least 1\n"
        "           5          3          2  one interaction a pair, the highest\n"
        "           4          2          2  at least 2 a user, 2 an item, in 1 rounds\n"
        "\n"
        "Nothing was written. If this is right, leave --dry-run out.\n"
    )


def test_members_that_no_profile_is_of(capsys):
    """Their ids are written otherwise; a dry run says it too."""
    Path("members.csv").write_text("member_id,headline\n7,Spy\nNA,Cook\n")
    assert convert(*ALL, "--dry-run") == 0
    assert "\n1 of 2 users have no row of their own, and no text.\n" in capsys.readouterr().out
    assert convert(*ALL) == 0
    assert "Without a row of their own, and without text: 1 of 2 users.\n" in capsys.readouterr().out


def test_a_byte_order_mark_is_no_json(capsys):
    lines = [f'{{"member_id": "m{m}", "job_id": "j{j}"}}\n' for m in range(2) for j in range(2)]
    Path("raw.jsonl").write_bytes(b"\xef\xbb\xbf" + "".join(lines).encode())
    assert convert("raw.jsonl", *CORE) == 0
    assert body("inter")[0] == ["m0", "j0", "1"]


def test_clicks_alone_under_other_names(capsys):
    Path("raw.tsv.gz").write_bytes(gzip.compress(b'who\twhat\n"a\tx\n"a\ty\nb\tx\nb\ty\n'))
    assert convert("raw.tsv.gz", "--columns", "member=who,job=what", *CORE) == 0
    assert body("inter") == [['"a', "x", "1"], ['"a', "y", "1"], ["b", "x", "1"], ["b", "y", "1"]]
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "raw.tsv.gz --columns member=who,job=what --min-user 2 --min-item 2 --out dataset/tiny\n" in card
    assert "No column says what the action was: all weigh 1." in card
    assert "Times: none" not in card  # there is no other column
    capsys.readouterr()
    assert main(["jobs", "raw.tsv.gz", "--columns", "member=who,job=what", "--out", "dataset/tiny"]) == 2
    assert "exists (Made by: " in capsys.readouterr().err


def test_a_column_that_may_hold_times(capsys):
    Path("raw.csv").write_text(
        "member_id,job_id,when\na,x,2024-01-31\na,y,2024-01-31\nb,x,2024-02-01\nb,y,2024-02-01\n"
    )
    assert convert("raw.csv", "--dry-run", *CORE) == 0
    assert (
        "Times: none, so that nothing can be split by time; unread are 'when': if one holds" in capsys.readouterr().out
    )


def test_actions_of_ones_own(capsys):
    assert convert("clicks.csv", "--actions", "apply=2,dismiss=-1,save=1,click=0.5,view=0.5", "--min-weight", "1") == 2
    assert "the filter 'at least 3 a user, 3 an item, in 1 rounds' took the last 2" in capsys.readouterr().err
    everything = ("--min-weight", "none", "--min-user", "1", "--min-item", "1")
    assert convert("clicks.csv", *everything, "--columns", "time=none") == 0
    assert {tuple(row) for row in body("inter")} >= {("NA", "J3", "0"), ("9", "J2", "1")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "9,J1,2024-01-01,shared",
            "the action 'shared' has no weight in --actions; known are apply, save, click",
        ),
        ("9,J1,2024-01-01,aply", "did you mean 'apply'?"),
        ("9,J1,-5,click", "the time '-5' is negative; legal are times from 1970 on"),
        ("9,J1,1704067200000,click", "is not of the dates of ISO 8601, UTC unless they say otherwise that the first"),
        ("9,J1,,click", "no time"),
        (",J1,2024-01-01,click", "no member_id"),
        ("9,[PAD],2024-01-01,click", "job_id is '[PAD]', which RecBole keeps for no id at all"),
        ("9,J1\0,2024-01-01,click", "job_id is 'J1\\x00', which ends in a NUL character, as numpy keeps none"),
        ("9,J1,click", "3 cells, not the 4 of member_id, job_id, time, action"),
    ],
)
def test_a_line_that_cannot_be_used(line, problem, capsys):
    Path("clicks.csv").write_text(CLICKS + line + "\n9,J1,2024-01-01,click\n")
    told = refusal(capsys, *ALL)
    assert told.startswith("clicks.csv, line 10: ")
    assert problem in told
    assert told.endswith(f": {line!r}; mend the line, or add --skip-bad to leave such out")
    assert convert(*ALL, "--skip-bad") == 0
    assert len(body("inter")) == 6
    assert "Left out: 1 lines of clicks.csv that could not be used." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.csv",), "nowhere.csv is not a file; give the path of one"),
        (
            ("members.csv",),
            "members.csv: no column has a name of the job; it has member_id, headline, since: say",
        ),
        (("clicks.csv", "--columns", "job=jobid"), "clicks.csv has no such column; it has member_id, job_id, time, "),
        (("clicks.csv", "--columns", "jobs.job=id"), "--columns jobs.job=id speaks of a file that is not given: add"),
        (
            ("clicks.csv", "--biography", "about"),
            "--biography names columns of a file that is not given: add",
        ),
        ((*ALL, "--content", "titel"), "--content titel: jobs.csv has no such column of text; it has title, descript"),
        (("clicks.csv", "--columns", "time=action"), "what 'action' holds, such as 'click', is no time; legal are "),
        (("clicks.csv", "--min-user", "9"), "nothing is left: the filter 'at least 9 a user, 3 an item, in 1 rounds' "),
        (("clicks.csv", "--min-weight", "9"), "items); loosen --min-weight, --min-user or --min-item"),
        (("clicks.csv", "--min-weight", "none", "--min-user", "9"), "items); loosen --min-user or --min-item"),
        (
            (*ALL[:3], "--members", "jobs.csv", "--columns", "members.member=job_id", *CORE),
            "none of the 2 users that are left is among the 3 that the source describes; do clicks.csv, jobs.csv",
        ),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    assert message in refusal(capsys, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--columns", "usr=who"), "'usr=who' is not ROLE=COLUMN with ROLE one of member, job, time, action, "),
        (("--columns", "job=none"), "'job=none': the job is needed"),
        (("--actions", "apply"), "'apply' is not ACTION=WEIGHT, as apply=3"),
        (("--actions", "apply=nan"), "'apply=nan' is not ACTION=WEIGHT"),
        (("--min-weight", "heavy"), "'heavy' is neither a number nor 'none'"),
        (("--quotes", "double"), "invalid choice: 'double'"),
    ],
)
def test_a_wrong_option_is_one_line(words, message, capsys):
    with pytest.raises(SystemExit):
        convert("clicks.csv", *words)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

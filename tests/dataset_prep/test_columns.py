"""What columns are, by name or as told."""

from pathlib import Path

import pytest

from dataset_prep.columns import fields, find, texts
from dataset_prep.sheets import Sheet, open_sheet
from recbole_cllm4rec.errors import UserError


def sheet(*columns: str) -> Sheet:
    return Sheet(Path("raw.csv"), "CSV", columns)


@pytest.mark.parametrize(
    ("columns", "role", "found"),
    [
        (("UserID", "JobID", "ApplicationDate"), "member", "UserID"),
        (("UserID", "JobID", "ApplicationDate"), "job", "JobID"),
        (("UserID", "JobID", "ApplicationDate"), "time", "ApplicationDate"),
        (("applicant_id", "posting"), "member", "applicant_id"),
        (("user", "type", "event"), "action", "event"),  # "type" tells it only where nothing else does
        (("user", "type"), "action", "type"),
        (("id", "name"), "members.member", "id"),
        (("job_id", "id"), "jobs.job", "job_id"),
    ],
)
def test_a_column_is_known_by_its_name(columns, role, found):
    assert find(role, sheet(*columns), {}) == found


def test_what_is_told_comes_first():
    assert find("member", sheet("user_id", "who"), {"member": "who"}) == "who"
    assert find("time", sheet("time"), {"time": "none"}, needed=False) is None
    assert find("time", sheet("a"), {}, needed=False) is None


def test_a_column_that_is_not_there():
    with pytest.raises(UserError) as error:
        find("member", sheet("who", "what"), {})
    assert str(error.value) == (
        "raw.csv: no column has a name of the member; it has who, what: say which with --columns member=COLUMN"
    )
    with pytest.raises(UserError) as error:
        find("member", sheet("who", "what"), {"member": "whom"})
    assert str(error.value) == (
        "--columns member=whom: raw.csv has no such column; it has who, what; did you mean 'who'?"
    )
    with pytest.raises(UserError, match="user_id and member_id may both be the member; say --columns member=user_id"):
        find("member", sheet("user_id", "member_id"), {})


def test_text_is_words(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text(
        "id,headline,company_id,linkedin_url,photo,since,salary,skills\n"
        "1,Cook,C1,x.org,https://x.org/1,2020-01-31,1000,stew\n"
        "2,,C2,x.org,https://x.org/2,2021-01-31,2000,\n"
    )
    assert texts("--biography", open_sheet(path), "id", None) == ("headline", "skills")
    assert texts("--biography", open_sheet(path), "id", ["salary"]) == ("salary",)
    with pytest.raises(UserError, match=r"--biography skils: .* did you mean 'skills'\?"):
        texts("--biography", open_sheet(path), "id", ["skils"])
    path.write_text("id,age\n1,30\n")
    with pytest.raises(UserError, match="no column holds text; name some with --biography, of id, age"):
        texts("--biography", open_sheet(path), "id", None)


def test_names_for_atomic_files():
    assert fields("--content", ["Job Title", "desc:full", "item_id", "Größe"]) == (
        "job_title",
        "desc_full",
        "item_id_text",
        "größe",
    )
    with pytest.raises(UserError, match="'Job Title' and 'job-title' would both be called 'job_title'; rename one"):
        fields("--content", ["Job Title", "job-title"])

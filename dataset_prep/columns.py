"""Which column of a file is what: as the user says, or else by the names that such columns have."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dataset_prep.sheets import Sheet
from dataset_prep.times import detect
from recbole_cllm4rec.errors import UserError, suggestion


class Role(NamedTuple):
    """What a column can be. ``names`` tell it wherever they stand, ``else_names`` where none of these does."""

    what: str
    names: frozenset[str]
    else_names: frozenset[str] = frozenset()


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MEMBER = _names(
    "member memberid user userid uid applicant applicantid candidate candidateid person personid profileid seeker "
    "seekerid jobseekerid"
)
_JOB = _names(
    "job jobid posting postingid jobposting jobpostingid item itemid vacancy vacancyid positionid listing listingid "
    "offerid adid"
)
ROLES = {  # by the words of --columns
    "member": Role("the member", _MEMBER),
    "job": Role("the job", _JOB),
    "time": Role(
        "the time",
        _names(
            "time timestamp datetime eventtime createdat createdtime clickedat appliedat applicationdate applydate "
            "eventdate eventtimestamp unixtime ts"
        ),
        _names("date day"),
    ),
    "action": Role(
        "the action", _names("action actiontype event eventtype interaction interactiontype"), _names("type kind")
    ),
    "members.member": Role("the member", _MEMBER, _names("id")),
    "jobs.job": Role("the job", _JOB, _names("id")),
}
NONE = "none"  # for a column that is not to be used


def find(role: str, sheet: Sheet, told: Mapping[str, str], needed: bool = True) -> str | None:
    """The column of this role; None where it is not needed and not there.

    Raises UserError where ``told`` names a column that is not there, where two columns may be meant, and where a column
    that is needed is not found.
    """
    listed = ", ".join(sheet.columns)
    if role in told:
        if told[role] == NONE and not needed:
            return None
        if told[role] not in sheet.columns:
            near = suggestion(told[role], sheet.columns)
            raise UserError(f"--columns {role}={told[role]}: {sheet.path} has no such column; it has {listed}{near}")
        return told[role]
    sought = ROLES[role]
    for names in (sought.names, sought.else_names):
        found = [column for column in sheet.columns if _plain(column) in names]
        if len(found) > 1:
            raise UserError(
                f"{sheet.path}: {' and '.join(found)} may both be {sought.what}; say --columns {role}={found[0]}"
            )
        if found:
            return found[0]
    if needed:
        raise UserError(
            f"{sheet.path}: no column has a name of {sought.what}; it has {listed}: say which with --columns "
            f"{role}=COLUMN"
        )
    return None


def texts(option: str, sheet: Sheet, key: str, told: Sequence[str] | None) -> tuple[str, ...]:
    """The columns of text: those of ``told``, or those that hold words in most of their first cells.

    Raises UserError where a column is not there, and where there is none.
    """
    if told is not None:
        for column in told:
            if column not in sheet.columns or column == key:
                near = suggestion(column, sheet.columns)
                has = ", ".join(other for other in sheet.columns if other != key)
                raise UserError(f"{option} {column}: {sheet.path} has no such column of text; it has {has}{near}")
        return tuple(told)
    sample = sheet.sample()
    found = tuple(column for column in sheet.columns if column not in (key, "") and _is_text(column, sample[column]))
    if not found:
        raise UserError(f"{sheet.path}: no column holds text; name some with {option}, of {', '.join(sheet.columns)}")
    return found


def fields(option: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Names for atomic files, of lower-case letters and digits. Raises UserError where two columns have the same."""
    found: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"\W+", "_", column.lower()).strip("_") or "text"
        if name in ("user_id", "item_id"):
            name += "_text"
        if name in found:
            raise UserError(f"{option}: {found[name]!r} and {column!r} would both be called {name!r}; rename one")
        found[name] = column
    return tuple(found)


def _is_text(column: str, cells: Sequence[str]) -> bool:
    """Whether most of its cells hold letters, and are neither an id nor a link nor a time."""
    if re.search(r"(?:(?:^|[_ .-])[iI][dD]|[a-z]I[dD]|[uU][rR][lL])$", column):
        return False
    words = [
        cell
        for cell in cells
        if any(map(str.isalpha, cell)) and not re.match("https?://", cell) and detect([cell]) is None
    ]
    return len(words) > len(cells) / 2


def _plain(column: str) -> str:
    """The letters and digits of a name."""
    return re.sub(r"[\W_]", "", column.lower())

"""MovieLens in its formats, as folders and as zips, and what can be wrong with them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from conversions import body, refused
from hypothesis import given
from hypothesis import strategies as st
from raw_files import CORE

from dataset_prep.__main__ import main
from dataset_prep.lines import Reader
from dataset_prep.movielens import GENRES, TAG_COLUMNS, read_tags, split_title
from dataset_prep.sheets import bare_sheet

USERS, MOVIES = "123", "123"
PAIRS = [(user, movie) for user in USERS for movie in MOVIES]


def ratings(glue: str, end: str = "\n", rating: str = "4") -> str:
    return "".join(glue.join([user, movie, rating, "978300760"]) + end for user, movie in PAIRS)


def flags(*genres: str) -> str:
    return "|".join(["0", *(str(int(name in genres)) for name in GENRES)])


OF_100K = {
    "u.data": ratings("\t"),
    "u.item": (
        f"1|Toy Story (1995)|01-Jan-1995||http://imdb.com/?Toy|{flags('Animation', 'Comedy')}\n"
        f"2|Misérables, Les (1995)|01-Jan-1995|||{flags('Drama')}\n"
        f"3|unknown||||1|{'|'.join('0' * len(GENRES))}\n"
    ),
    "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n3|23|M|writer|32067\n",
}
OF_1M = {
    "ratings.dat": ratings("::"),
    "movies.dat": "1::Toy Story (1995)::Animation|Children's\n2::Misérables, Les (1995)::Drama\n3::Seven::Thriller\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::0::55117\n",
}
TAGS = [  # of movie 1: pixar of three, fun of three, toys of two; of movie 2: one user, again and again
    *[("1", "1", "Pixar"), ("2", "1", "pixar "), ("3", "1", "PIXAR"), ("4", "1", "pixar")],
    *[("1", "1", "fun"), ("2", "1", "fun"), ("3", "1", "fun"), ("1", "1", "toys"), ("2", "1", "toys")],
    *[("1", "2", "my own"), ("1", "2", "My Own"), ("1", "2", "my own"), ("2", "2", " ")],
]
OF_10M = {
    "ratings.dat": ratings("::", rating="3.5"),
    "movies.dat": OF_1M["movies.dat"],
    "tags.dat": "".join(f"{user}::{movie}::{tag}::1215184630\n" for user, movie, tag in TAGS),
}
OF_25M = {
    "ratings.csv": "userId,movieId,rating,timestamp\r\n" + ratings(",", "\r\n", "3.5"),
    "movies.csv": (
        "movieId,title,genres\r\n1,Toy Story (1995),Animation|Children\r\n"
        '2,"Misérables, Les (1995)",(no genres listed)\r\n3,"""Seven"" (a.k.a. Se7en) (1995)",Thriller\r\n'
    ),
    "tags.csv": "userId,movieId,tag,timestamp\r\n" + "".join(f"{u},{m},{tag},1215184630\r\n" for u, m, tag in TAGS),
    "links.csv": "movieId,imdbId,tmdbId\r\n1,0114709,862\r\n",
}
ML_25M = [
    ["1", "Toy Story", "1995", "Animation, Children", "pixar, fun"],
    ["2", "Misérables, Les", "1995", "", ""],
    ["3", '"Seven" (a.k.a. Se7en)', "1995", "Thriller", ""],
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(files: Mapping[str, str], encoding: str = "utf-8", folder: str = "raw") -> None:
    Path(folder).mkdir()
    for name, text in files.items():
        Path(folder, name).write_bytes(text.encode(encoding))


def convert(*words: str) -> int:
    return main(["movielens", "raw", *CORE, "--out", "dataset/tiny", *words])


def refusal(capsys, *words: str) -> str:
    return refused(capsys, convert(*words))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_100k(encoding):
    save(OF_100K, encoding)
    assert convert() == 0
    assert body("inter") == [[user, movie, "4", "978300760"] for user, movie in PAIRS]
    assert body("item") == [
        ["1", "Toy Story", "1995", "Animation, Comedy"],
        ["2", "Misérables, Les", "1995", "Drama"],
        ["3", "unknown", "", ""],
    ]
    assert body("user") == [["1", "24", "M", "technician"], ["2", "53", "F", "other"], ["3", "23", "M", "writer"]]
    settings = yaml.safe_load(Path("dataset/tiny/tiny.yaml").read_text())
    assert settings["text_fields"] == {"item": ["title", "year", "genres"], "user": ["age", "gender", "occupation"]}
    assert settings["text_template"]["user"].format(age=24, gender="M", occupation="technician") == (
        "A user of age 24 and gender M whose occupation is technician."
    )


def test_1m():
    save(OF_1M, "latin-1")
    assert convert() == 0
    assert body("item") == [
        ["1", "Toy Story", "1995", "Animation, Children's"],
        ["2", "Misérables, Les", "1995", "Drama"],
        ["3", "Seven", "", "Thriller"],
    ]
    assert body("user") == [
        ["1", "under 18", "F", "K-12 student"],
        ["2", "56 or more", "M", "self-employed"],
        ["3", "25-34", "M", "other"],
    ]


def test_10m_has_tags_and_no_users():
    save(OF_10M)
    assert convert() == 0
    assert body("item")[:2] == [
        ["1", "Toy Story", "1995", "Animation, Children's", "pixar, fun"],
        ["2", "Misérables, Les", "1995", "Drama", ""],
    ]
    assert not Path("dataset/tiny/tiny.user").exists()
    assert body("inter")[0] == ["1", "1", "3.5", "978300760"]


def test_csv_of_the_later_releases():
    save(OF_25M)
    assert convert() == 0
    assert body("item") == ML_25M
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "at least 3 users gave it, 2 of 4 pairs of a movie and a tag: one of fewer would tell who knows" in card
    assert "| item: tags | 3 | 1 | 33.3% | 2 | 2 | 2 | 2 | 2 |" in card
    assert [name for name in OF_25M if f"| {name} | " in card] == ["ratings.csv", "movies.csv", "tags.csv"]


@pytest.mark.parametrize("prefix", ["", "ml-25m/"])
def test_a_zip_is_read_as_it_is(prefix):
    with zipfile.ZipFile("raw", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in OF_25M.items():
            archive.writestr(prefix + name, text)
    assert convert() == 0
    assert body("item") == ML_25M
    assert len(body("inter")) == 9
    assert "| raw | " in Path("dataset/tiny/tiny.card.md").read_text()


def test_a_folder_around_the_folder():
    save({})
    save(OF_1M, folder="raw/ml-1m")
    assert convert() == 0
    assert "| movies.dat | " in Path("dataset/tiny/tiny.card.md").read_text()


def test_tags_are_optional():
    save({name: text for name, text in OF_25M.items() if name != "tags.csv"})
    assert convert() == 0
    assert body("item") == [row[:4] for row in ML_25M]


def test_how_many_users_make_a_tag():
    save(OF_25M)
    assert convert("--min-taggers", "2") == 0
    assert [row[4] for row in body("item")] == ["pixar, fun, toys", "", ""]
    assert "movielens raw --min-taggers 2 --min-user 3" in Path("dataset/tiny/tiny.yaml").read_text()


@pytest.mark.parametrize("number", ["1", "0", "-2", "many"])
def test_a_tag_of_one_user_is_never_told(number, capsys):
    with pytest.raises(SystemExit):
        convert(f"--min-taggers={number}")
    assert capsys.readouterr().err.count("\n") == 1


users_of_tags = st.tuples(st.sampled_from("abcd"), st.sampled_from("xy"), st.sampled_from(["fun", "Fun", "dull"]))


@given(st.lists(users_of_tags, max_size=30), st.integers(2, 4), st.randoms(use_true_random=False))
def test_tags_against_counting_by_hand(given_tags, least, random):
    lines = [f"{user}::{movie}::{tag}::1\n" for user, movie, tag in given_tags]
    random.shuffle(lines)
    expected = {}
    for movie in "xy":
        users = {tag: {u for u, m, t in given_tags if (m, t.lower()) == (movie, tag)} for tag in ("fun", "dull")}
        kept = sorted((tag for tag in users if len(users[tag]) >= least), key=lambda tag: (-len(users[tag]), tag))
        if kept:
            expected[movie] = ", ".join(kept)
    Path("tags").write_text("".join(lines))
    sheet = bare_sheet(Path("tags"), TAG_COLUMNS, "::")
    assert read_tags(sheet, least, Reader(skip_bad=False), []) == expected


@given(users_of_tags, st.lists(users_of_tags, max_size=20))
def test_what_a_user_tags_alone_is_nowhere(own, others):
    user, movie, _ = own
    lines = [f"{u}::{m}::{t}::1\n" for u, m, t in others] + [f"{user}::{movie}::my word::1\n"] * 3
    Path("tags").write_text("".join(lines))
    sheet = bare_sheet(Path("tags"), TAG_COLUMNS, "::")
    assert not any("my word" in text for text in read_tags(sheet, 2, Reader(skip_bad=False), []).values())


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("Toy Story (1995)", ("Toy Story", "1995")),
        ("Seven (a.k.a. Se7en) (1995) ", ("Seven (a.k.a. Se7en)", "1995")),
        ("Shanghai Triad (Yao a yao) (1995)", ("Shanghai Triad (Yao a yao)", "1995")),
        ("Death Note (2006–2007)", ("Death Note", "2006–2007")),
        ("Fargo (2014- )", ("Fargo", "2014-")),
        ("1984", ("1984", "")),
        ("2001 (1968)", ("2001", "1968")),
        ("(1995)", ("(1995)", "")),
        ("Brazil (1985) (director's cut)", ("Brazil (1985) (director's cut)", "")),
        ("", ("", "")),
    ],
)
def test_titles_by_hand(title, parts):
    assert split_title(title) == parts


@given(st.text(min_size=1).map(str.strip).filter(bool), st.integers(1000, 9999))
def test_any_title_with_a_year(title, year):
    assert split_title(f"{title} ({year})") == (title, str(year))


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [
        ("ratings.dat", "1::2::5", "3 cells, not the 4 of userId, movieId, rating, timestamp"),
        ("ratings.dat", "1::2::five::978300760", "rating is 'five', not a number"),
        ("ratings.dat", "1::2::nan::978300760", "rating is nan, not a number"),
        ("ratings.dat", "1::2::5::-1", "timestamp is -1.0, not a unix time in seconds or milliseconds"),
        ("ratings.dat", "::2::5::978300760", "no userId"),
        ("movies.dat", "9::Nine", "2 cells, not the 3 of movieId, title, genres"),
        ("users.dat", "9::F::17::1::1", "age is '17', not among 1, 18, 25, 35, 45, 50, 56"),
        ("users.dat", "9::F::18::21::1", "occupation is '21', not a number from 0 to 20"),
    ],
)
def test_a_line_that_cannot_be_used(file, line, problem, capsys):
    first, rest = OF_1M[file].split("\n", 1)
    save(OF_1M | {file: f"{first}\n{line}\n{rest}"}, "latin-1")
    assert refusal(capsys) == (
        f"raw/{file}, line 2: {problem}: {line!r}; mend the line, or add --skip-bad to leave such out"
    )
    assert convert("--skip-bad") == 0
    assert f"Left out: 1 lines of {file} that could not be used." in capsys.readouterr().out


def test_csv_that_cannot_be_used(capsys):
    save(OF_25M | {"movies.csv": 'movieId,title,genres\n1,Toy Story (1995),Animation\n2,"Seven,Drama\n'})
    assert refusal(capsys).startswith("raw/movies.csv, line 3: a quote is opened that is never closed")


def test_a_later_release_in_latin_1(capsys):
    save(OF_25M, "latin-1")
    assert refusal(capsys).startswith("raw/movies.csv, line 3: not UTF-8 (invalid continuation byte at byte 6)")


def test_milliseconds_are_told_by_their_size():
    save(OF_1M | {"ratings.dat": OF_1M["ratings.dat"].replace("978300760", "978300760123")})
    assert convert() == 0
    assert body("inter")[0][3] == "978300760.123"


def test_a_column_that_is_missing(capsys):
    save(OF_25M | {"ratings.csv": OF_25M["ratings.csv"].replace("rating,", "Rating,", 1)})
    assert refusal(capsys) == (
        "raw/ratings.csv: the header lacks 'rating'; it must name each of userId, movieId, rating, timestamp; "
        "did you mean 'Rating'?"
    )


def test_columns_in_another_order():
    lines = ["timestamp,rating,movieId,userId", *(f"978300760,4,{movie},{user}" for user, movie in PAIRS)]
    save(OF_25M | {"ratings.csv": "\ufeff" + "\n".join(lines)})
    assert convert() == 0
    assert body("inter") == [[user, movie, "4", "978300760"] for user, movie in PAIRS]


def test_no_release(capsys):
    assert refusal(capsys) == "raw is neither a folder nor a file; give a release of MovieLens or its zip"
    save({"README": ""})
    assert refusal(capsys) == "raw holds no release of MovieLens, which has one of u.data, ratings.dat, ratings.csv"
    save(OF_1M, folder="raw/ml-1m")
    Path("raw/ml-1m/movies.dat").unlink()
    assert refusal(capsys) == "raw/ml-1m lacks movies.dat, which ratings.dat needs beside it"
    save(OF_25M, folder="raw/ml-25m")
    assert refusal(capsys) == (
        "raw holds several releases, raw/ml-1m/ratings.dat and raw/ml-25m/ratings.csv: give one of them"
    )


def test_a_zip_that_is_cut_off(capsys):
    with zipfile.ZipFile("whole.zip", "w", zipfile.ZIP_STORED) as archive:
        for name, text in OF_1M.items():
            archive.writestr(name, text)
    whole = Path("whole.zip").read_bytes()
    Path("raw").write_bytes(whole[: len(whole) // 2])
    assert refusal(capsys).startswith("raw is not a zip, or not a whole one (File is not a zip file): download it")
    Path("raw").write_bytes(whole.replace(b"Toy Story", b"Tin Story", 1))
    assert "movies.dat is cut off or damaged after line" in refusal(capsys)


def test_nothing_is_left(capsys):
    save(OF_1M)
    assert refusal(capsys, "--rating-above", "4").startswith(
        "nothing is left: the filter 'rating above 4' took the last 9 interactions"
    )
    assert refusal(capsys, "--min-user", "4").startswith(
        "nothing is left: the filter 'at least 4 a user, 3 an item, in 1 rounds' took the last 9 interactions"
    )

"""Strings that readers of files are known to mangle, and strategies that draw them among others."""

from hypothesis import strategies as st

ODD = [
    *("", " ", '"', '""', '"quoted', 'in "the" middle', "'", "#", "\\", "\\t", "a\tb", "a\nb", "a\r\nb", "\r", "\n\n"),
    *("NA", "null", "None", "nan", "N/A", "-", "007", "1e5", "2024-01-31", "12.0", "True", "0x1F", "1_000", "+5"),
    *("[PAD] ", "{summary}", "<b>&amp;</b>", 'an "inner" quote', "\\\\n"),
    *("שָׁלוֹם עולם", "مرحبا", "🧴💄", "👩\u200d🔬", "e\u0301", "\ufeff", "\u2028\x85\x0b", "\x00", "a,b;c|d", "=1+1"),
    "word " * 6000,
]
IDS = [
    *("007", "7", "1e5", "2024-01-31", "NA", "null", "nan", "None", "12.0", "True", "0x1F", "1_000"),
    *('"', "'", " x", "x ", "é", "e\u0301", "🧴", "a:b", "a,b", "שלום"),
]

words = st.sampled_from(ODD) | st.text(max_size=50)
ids = st.sampled_from(IDS) | st.text(min_size=1, max_size=20).filter(
    lambda text: text not in ("[PAD]", "sparse", "rare") and not set("\t\n\r") & set(text) and not text.endswith("\0")
)
distinct = st.lists(ids, min_size=5, max_size=5, unique=True)

"""CLLM4Rec (WWW 2024) as a RecBole plugin. Importing this package loads neither torch nor transformers."""

__version__ = "0.1.0"

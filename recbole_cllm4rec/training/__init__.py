"""The staged training of CLLM4Rec inside RecBole's trainer."""

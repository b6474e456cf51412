"""CLLM4Rec as a RecBole general recommender, its options and its losses."""

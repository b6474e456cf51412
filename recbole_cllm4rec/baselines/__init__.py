"""Models that CLLM4Rec is to be compared with and RecBole does not have."""

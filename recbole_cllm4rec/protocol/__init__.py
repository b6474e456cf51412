"""How models are compared: splits, metrics, and the proofs that two runs used the same ones."""

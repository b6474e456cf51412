"""Hyper-parameters chosen on the validation part: search spaces, and studies that stop, go on and are shared."""

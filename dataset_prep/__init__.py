"""Raw files into RecBole atomic files: ``python -m dataset_prep SOURCE ... --out dataset/NAME``."""

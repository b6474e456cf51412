"""The same data under other internal ids: figures that change with them were decided by the order of rows in a file."""

import copy
from typing import Any

import numpy as np


def relabelled(dataset: Any, rng: np.random.Generator) -> Any:
    """A dataset, not yet split, under internal ids of users and items drawn at random; 0 stays the padding.

    Rows keep their order, so that one and the same split is to be expected of it.
    """
    twin = copy.copy(dataset)
    twin.field2id_token, twin.field2token_id = dict(dataset.field2id_token), dict(dataset.field2token_id)
    for field, source in ((dataset.uid_field, "user_feat"), (dataset.iid_field, "item_feat")):
        tokens = dataset.field2id_token[field]
        ids = np.concatenate([[0], 1 + rng.permutation(len(tokens) - 1)])  # ids[old] = new
        twin.field2id_token[field] = tokens[ids.argsort()]
        twin.field2token_id[field] = {token: k for k, token in enumerate(twin.field2id_token[field])}
        twin.inter_feat = twin.inter_feat.assign(**{field: ids[twin.inter_feat[field]]})
        feat = getattr(dataset, source)
        if feat is not None:
            setattr(twin, source, feat.assign(**{field: ids[feat[field]]}).sort_values(field, ignore_index=True))
    return twin

"""The best items of many users, exactly, while no more scores are held than those of a block."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from recbole_cllm4rec.corpus.text import IntArray

GROUP = 8
"""Neighbouring items of which the scan keeps the best score alone: the more, the fewer to sort and to score again."""
BLOCK = 8192
"""Items scored at once, a multiple of ``GROUP``: the scores of a block and some hundred users fit a cache."""
USERS = 512
"""Users scored at once."""
MAXIMA = 2**26
"""Best scores of groups held at once; in bfloat16 128 MB."""
CANDIDATES = 2
"""Groups scored again, over k: rounding to bfloat16 leaves some more than k in doubt."""
FEW = 8
"""Groups over those scored again below which a scan saves nothing."""
NONE = 0
"""RecBole's padding item: never ranked, and what stands where a user has fewer than k items left."""


class Ranking:
    """A table of items [J, K], ready to be ranked for states by their products with it in float32.

    A scan in ``dtype`` finds the groups of items that can hold one of the best, and the items of these are scored
    again: of the items, the k best lie in the k groups with the best maxima. What rounding to ``dtype`` may have hidden
    is bounded by the norms of what it took away; a user whose k-th score is not above that bound on all other groups is
    ranked from the full table in float32, as are all users where the items are few. Ties go to the lower id.
    """

    def __init__(self, table: Tensor, dtype: torch.dtype):
        self.table = table.detach().float()
        self.n_groups = -(-len(table) // GROUP)
        self.blocks: list[Tensor] = []
        self.norm = self.lost = 0.0  # the greatest of a rounded row, and of what rounding took from a row
        for start in range(0, len(table), BLOCK):
            rows = self.table[start : start + BLOCK]
            rounded = rows.to(dtype)
            self.norm = max(self.norm, rounded.float().norm(dim=1).max().item())
            self.lost = max(self.lost, (rounded.float() - rows).norm(dim=1).max().item())
            rounded = nn.functional.pad(rounded, (0, 0, 0, -len(rows) % GROUP))
            # Row i · m + g of the m groups is the i-th item of group g: a maximum over i is then one over the rows of
            # a matrix, which is far faster than one over neighbours.
            self.blocks.append(rounded.view(-1, GROUP, rows.shape[1]).transpose(0, 1).reshape(-1, rows.shape[1]))

    def best(self, states: Tensor, k: int, excluded: Sequence[IntArray] | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each of U ``states`` [U, K], best first: ids [U, k] and float32 scores [U, k].

        ``excluded``: for each state, ids of items that are not to be ranked. Where fewer than k are left, ``NONE`` with
        a score of −inf fills up.
        """
        states = states.detach().float()
        size = max(1, min(USERS, MAXIMA // self.n_groups))
        parts = []
        for start in range(0, len(states), size):
            part = states[start : start + size]
            parts.append(self._best(part, k, _Excluded(part, excluded[start : start + size] if excluded else None)))
        keys = torch.cat(parts) if parts else torch.empty(0, k, dtype=torch.long, device=states.device)
        items, scores = _decoded(keys)
        return items.masked_fill(scores == -torch.inf, NONE), scores

    def _best(self, states: Tensor, k: int, excluded: "_Excluded") -> Tensor:
        """Keys [B, k] of a block of users."""
        n_candidates = CANDIDATES * k
        if self.n_groups < FEW * n_candidates:
            return self._best_of_all(states, k, excluded)
        maxima, groups = _largest(self._scan(states, excluded), n_candidates)
        keys = self._scored_again(states, groups.sort(dim=1).values, excluded).topk(k).values
        missed = _decoded(keys[:, -1])[1] <= self._bound(states, maxima.amin(dim=1).float())
        if missed.any():
            rows = missed.nonzero().view(-1)
            keys[rows] = self._best_of_all(states[rows], k, excluded.of(rows))
        return keys

    def _scan(self, states: Tensor, excluded: "_Excluded") -> Tensor:
        """The best score of every group [B, n_groups], rounded."""
        rounded = states.to(self.blocks[0].dtype)
        maxima = rounded.new_empty(len(states), self.n_groups)
        for number, block in enumerate(self.blocks):
            start, m = number * BLOCK, len(block) // GROUP
            scores = rounded @ block.T
            rows, items = excluded.among(start, start + len(block))
            scores[rows, (items - start) % GROUP * m + (items - start) // GROUP] = -torch.inf
            if start + len(block) > len(self.table):  # what fills up the last group
                scores.view(-1, GROUP, m)[:, len(self.table) - start - len(block) :, -1] = -torch.inf
            torch.amax(scores.view(-1, GROUP, m), dim=1, out=maxima[:, start // GROUP : start // GROUP + m])
        return maxima

    def _scored_again(self, states: Tensor, groups: Tensor, excluded: "_Excluded") -> Tensor:
        """Keys [B, C · GROUP] of the items of ``groups`` [B, C], ascending for each state."""
        items = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=groups.device)).flatten(1)
        at = items.clamp(max=len(self.table) - 1)
        # One user after the other: the rows of all at once would be many times the table's size.
        scores = torch.stack([self.table[i] @ h for i, h in zip(at, states, strict=True)])
        scores.masked_fill_(items >= len(self.table), -torch.inf)
        flat = (groups + torch.arange(len(groups), device=groups.device)[:, None] * self.n_groups).view(-1)  # ascending
        wanted = excluded.rows * self.n_groups + excluded.items // GROUP
        place = torch.searchsorted(flat, wanted).clamp(max=len(flat) - 1)
        found = flat[place] == wanted
        scores.view(-1, GROUP)[place[found], excluded.items[found] % GROUP] = -torch.inf
        return _keys(scores, items)

    def _bound(self, states: Tensor, maxima: Tensor) -> Tensor:
        """What no score [B] exceeds in groups whose rounded maxima are not above ``maxima`` [B].

        With h, z and their rounded ĥ, ẑ: h·z − ĥ·ẑ = h·(z − ẑ) + (h − ĥ)·ẑ, at most ‖h‖‖z − ẑ‖ + ‖h − ĥ‖‖ẑ‖; the
        product itself is summed in float32 over K terms, and then rounded.
        """
        rounded = states.to(self.blocks[0].dtype)
        lost = (rounded.float() - states).norm(dim=1)
        summing = 2 * states.shape[1] * torch.finfo(torch.float32).eps * states.norm(dim=1) * (self.norm + self.lost)
        eps = torch.finfo(rounded.dtype).eps
        ending = eps / (2 - eps) * maxima.abs()
        return maxima + states.norm(dim=1) * self.lost + lost * self.norm + summing + ending

    def _best_of_all(self, states: Tensor, k: int, excluded: "_Excluded") -> Tensor:
        """Keys [B, k] from all scores in float32, a block of items after the other."""
        best = _keys(states.new_full((len(states), k), -torch.inf), torch.full_like(states[:, :1], NONE).long())
        for start in range(0, len(self.table), BLOCK):
            rows = self.table[start : start + BLOCK]
            scores = states @ rows.T
            of, items = excluded.among(start, start + len(rows))
            scores[of, items - start] = -torch.inf
            keys = _keys(scores, torch.arange(start, start + len(rows), device=scores.device))
            best = _largest(torch.cat([best, keys], dim=1), k)[0]
        return best.sort(dim=1, descending=True).values


def best_of(scores: Tensor, k: int, excluded: Sequence[IntArray] | None = None) -> tuple[Tensor, Tensor]:
    """As :meth:`Ranking.best` of ``scores`` [U, J] of all items that are there already."""
    pairs = _Excluded(scores, excluded)
    scores = scores.float().index_put((pairs.rows, pairs.items), scores.new_full((), -torch.inf, dtype=torch.float32))
    there = min(k, scores.shape[1])
    items, best = _decoded(_keys(scores, torch.arange(scores.shape[1], device=scores.device)).topk(there).values)
    items, best = (nn.functional.pad(part, (0, k - there), value=v) for part, v in ((items, NONE), (best, -torch.inf)))
    return items.masked_fill(best == -torch.inf, NONE), best


class _Excluded:
    """Pairs of a state and an item that are not ranked, the padding item's among them, ordered by item."""

    def __init__(self, states: Tensor, of_each: Sequence[IntArray] | None):
        lists = [np.array([NONE]) for _ in states] if of_each is None else [np.append(NONE, e) for e in of_each]
        rows = np.repeat(np.arange(len(states)), [len(items) for items in lists])
        items = np.concatenate(lists).astype(np.int64)
        order = np.argsort(items, kind="stable")
        self.rows, self.items = (torch.from_numpy(a[order]).to(states.device) for a in (rows, items))

    def among(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Rows and items of the pairs whose item is in a range."""
        edges = torch.searchsorted(self.items, torch.tensor([start, end], device=self.items.device)).tolist()
        return self.rows[slice(*edges)], self.items[slice(*edges)]

    def of(self, rows: Tensor) -> "_Excluded":
        """The pairs of some states alone, ``rows`` ascending, which are counted anew."""
        some = object.__new__(_Excluded)
        kept = torch.isin(self.rows, rows)
        some.rows, some.items = torch.searchsorted(rows, self.rows[kept]), self.items[kept]
        return some


def _largest(values: Tensor, n: int, width: int = 16) -> tuple[Tensor, Tensor]:
    """The ``n`` largest of each row of ``values`` [B, M] in any order, and where they stand; ``torch.topk`` at length.

    Of columns that lie M / ``width`` apart, only the largest are sorted first.
    """
    m = values.shape[1] // width
    if m < 2 * n:
        return values.topk(n, dim=1, sorted=False)
    head = values[:, : m * width].view(-1, width, m)
    columns = head.amax(dim=1).topk(n, dim=1, sorted=False).indices
    steps = torch.arange(width, device=values.device)[:, None] * m
    at = torch.cat([(columns[:, None, :] + steps).flatten(1), _tail(values, m * width)], dim=1)
    largest, chosen = values.gather(1, at).topk(n, dim=1, sorted=False)
    return largest, at.gather(1, chosen)


def _tail(values: Tensor, start: int) -> Tensor:
    return torch.arange(start, values.shape[1], device=values.device).expand(len(values), -1)


def _keys(scores: Tensor, items: Tensor) -> Tensor:
    """Whole numbers that are ordered as the scores and, where these tie, as falling ids; no two are the same."""
    bits = (scores + 0.0).view(torch.int32)  # minus zero becomes zero
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # the magnitude of negative numbers counts down
    return (ordered.long() << 32) + (0xFFFFFFFF - items)


def _decoded(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Items and scores of keys."""
    ordered = (keys >> 32).int()
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return 0xFFFFFFFF - (keys & 0xFFFFFFFF), bits.view(torch.float32)

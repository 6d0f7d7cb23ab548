"""Word-piece vectors fitted to the teacher's sentence vectors by one least-squares problem."""

import numpy as np
import scipy.sparse as sparse

RIDGE = 3e-4  # of the mean diagonal: how hard the shared map is held to zero


def bags(spelled, ids):
    """Rows of counts: text by word-piece. Word-pieces outside the table (and the two marks) count nothing."""
    row_of = np.full(max(ids) + 1 + max(map(max, spelled)), -1)
    row_of[ids] = np.arange(len(ids))
    texts = np.repeat(np.arange(len(spelled)), [len(text) for text in spelled])
    rows = row_of[np.concatenate([np.asarray(text) for text in spelled])]
    seen = rows >= 0
    ones = np.ones(int(seen.sum()), np.float32)
    return sparse.csr_matrix((ones, (texts[seen], rows[seen])), shape=(len(spelled), len(ids)))


def closed_form(counts, alone, own, goals, dimensions, ridge=RIDGE):
    """One linear map, the same for all word-pieces, from what the teacher makes of the word-piece
    alone beside its own input embedding. Rarer pieces (the vocabulary is ordered by frequency) weigh more.
    Letting each word-piece leave the map (ridge on its own residual) helped nothing at this number of texts."""
    own = own - own.mean(0)
    own = own / np.linalg.norm(own, axis=1).mean()
    zipf = np.log(2 + np.arange(len(alone))) / np.log(2 + len(alone))
    character = np.concatenate([alone, own], axis=1) * zipf[:, None].astype(np.float32)
    main = np.linalg.eigh(goals.T @ goals)[1][:, ::-1][:, :dimensions]
    goals = _unit(goals @ main)
    means = _unit(counts @ character)
    square = means.T @ means
    square += ridge * np.trace(square) / len(square) * np.eye(len(square), dtype=np.float32)
    shared = np.linalg.solve(square, means.T @ goals).astype(np.float32)
    return character @ shared


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

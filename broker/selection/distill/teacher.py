"""The teacher: all-MiniLM-L6-v2 in plain numpy, so that distilling needs no deep-learning framework."""

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

LAYERS, HEADS, WIDTH = 6, 12, 384
LONGEST = 64  # word-pieces of a text that the teacher reads; the corpus holds nothing longer


class Teacher:
    def __init__(self, folder):
        self.weights = weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=LONGEST)

        def dense(name):
            return np.ascontiguousarray(weights[name + ".weight"].T), weights[name + ".bias"]

        def norm(name):
            return weights[name + ".weight"], weights[name + ".bias"]

        self.embedding_norm = norm("embeddings.LayerNorm")
        self.layers = []
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            parts = [dense(at + "attention.self." + part) for part in ("query", "key", "value")]
            joined = tuple(np.concatenate([part[i] for part in parts], axis=-1) for i in (0, 1))
            self.layers.append((
                joined, dense(at + "attention.output.dense"), norm(at + "attention.output.LayerNorm"),
                dense(at + "intermediate.dense"), dense(at + "output.dense"), norm(at + "output.LayerNorm"),
            ))

    def pieces(self, texts):
        """Word-piece ids of each text, with the two marks at its ends."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def vectors(self, pieces, tokens_a_batch=3000):
        """Unit vectors of texts given as word-piece ids; texts of like length share a batch."""
        out = np.zeros((len(pieces), WIDTH), np.float32)
        order = np.argsort([len(text) for text in pieces], kind="stable")
        at = 0
        while at < len(order):
            batch = order[at:at + max(1, tokens_a_batch // (len(pieces[order[at]]) + 2))]
            out[batch] = self._batch([pieces[i] for i in batch])
            at += len(batch)
        return out

    def _batch(self, pieces):
        rows, length = len(pieces), max(map(len, pieces))
        ids, mask = np.zeros((rows, length), np.int64), np.zeros((rows, length), np.float32)
        for row, text in enumerate(pieces):
            ids[row, :len(text)], mask[row, :len(text)] = text, 1
        weights = self.weights
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][:length]
        x += weights["embeddings.token_type_embeddings.weight"][0]
        x = _normed(x, self.embedding_norm).reshape(rows * length, WIDTH)
        hidden = (mask - 1)[:, None, None, :] * np.float32(1e9)
        for joined, attended, first_norm, inner, outer, second_norm in self.layers:
            split = (x @ joined[0] + joined[1]).reshape(rows, length, 3, HEADS, WIDTH // HEADS)
            query, key, value = (np.ascontiguousarray(split[:, :, i].transpose(0, 2, 1, 3)) for i in range(3))
            scores = query @ key.transpose(0, 1, 3, 2)
            scores *= np.float32((WIDTH // HEADS) ** -0.5)
            scores += hidden
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            heads = np.ascontiguousarray((scores @ value).transpose(0, 2, 1, 3)).reshape(rows * length, WIDTH)
            x = _normed(heads @ attended[0] + attended[1] + x, first_norm)
            wide = x @ inner[0]
            wide += inner[1]
            gate = erf(wide * np.float32(2 ** -0.5))
            gate += 1
            wide *= gate
            wide *= np.float32(0.5)
            x = _normed(wide @ outer[0] + outer[1] + x, second_norm)
        summed = (x.reshape(rows, length, WIDTH) * mask[..., None]).sum(1)
        return summed / np.linalg.norm(summed, axis=1, keepdims=True)


def _normed(x, norm):
    x -= x.mean(-1, keepdims=True)
    x /= np.sqrt(np.einsum("...i,...i->...", x, x)[..., None] / x.shape[-1] + np.float32(1e-12))
    x *= norm[0]
    x += norm[1]
    return x

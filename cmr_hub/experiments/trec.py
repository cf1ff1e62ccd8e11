"""Write rankings and relevance judgements as TREC files, for information retrieval tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from cmr_hub.atomic import atomic_file
from cmr_hub.metrics.ranking import ranked_chunks
from cmr_hub.metrics.relevance import shared_labels

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, IntArray, LabelArray

DEPTH = 1000
"""Number of hits written for each query, as is usual at TREC."""


def write_trec(
    folder: Path,
    kind: str,
    images: FloatArray,
    texts: FloatArray,
    image_ids: Sequence[str],
    *,
    text_owner: IntArray | None = None,
    labels: LabelArray | None = None,
) -> None:
    """Write `<kind>-image-to-text.run` and `.qrels`, and the same for text to image.

    A line of a run is `query Q0 hit rank score cmr-hub`, a line of judgements `query 0 item gain`.
    The first `DEPTH` hits of each query are written. The score is the number of items that rank
    lower, not the cosine, because other tools break ties of scores by the names of items. Spaces
    and special characters in ids are percent-encoded.

    Args:
        folder: Folder of the files; existing ones are replaced.
        kind: Kind of relevance, as the prefix of the file names.
        images: (Ni, d) vectors.
        texts: (Nt, d) vectors.
        image_ids: Ni ids. A text has the id of its image, with the suffix `#n` if `text_owner` is
            given.
        text_owner: (Nt,) row of the image of each text. Default: text i belongs to image i.
        labels: (Ni,) or (Ni, C) labels: the gain is the number of shared labels. Default: only the
            paired items are relevant, with gain 1.
    """
    owner = np.arange(len(texts)) if text_owner is None else text_owner
    pictures = [quote(id_, safe="/:@+~,()#=&!") for id_ in image_ids]
    sentences = pictures
    if text_owner is not None:
        nth = np.arange(len(owner)) - np.searchsorted(owner, owner)
        sentences = [f"{pictures[row]}#{n}" for row, n in zip(owner, nth, strict=True)]
    own = np.arange(len(images))
    sides = {
        "image-to-text": (images, texts, own, owner, pictures, sentences),
        "text-to-image": (texts, images, owner, own, sentences, pictures),
    }
    keys = own if labels is None else labels
    for name, (queries, gallery, of_query, of_item, asked, found) in sides.items():
        with (
            atomic_file(folder / f"{kind}-{name}.run") as run_path,
            atomic_file(folder / f"{kind}-{name}.qrels") as qrels_path,
            run_path.open("w", encoding="utf-8") as run,
            qrels_path.open("w", encoding="utf-8") as qrels,
        ):
            for rows, order in ranked_chunks(queries, gallery):
                gains = shared_labels(keys[of_query[rows]], keys)[:, of_item]
                for query, hits, gain in zip(asked[rows], order, gains, strict=True):
                    run.writelines(
                        f"{query} Q0 {found[hit]} {rank} {len(hits) - rank} cmr-hub\n"
                        for rank, hit in enumerate(hits[:DEPTH], start=1)
                    )
                    qrels.writelines(
                        f"{query} 0 {found[item]} {int(gain[item])}\n"
                        for item in np.flatnonzero(gain)
                    )

"""What people write for a gender, and the letter that Braze stores for it."""

from __future__ import annotations

__all__ = ["GENDERS"]

GENDERS = {
    "M": ("m", "h", "male", "man", "boy", "mr", "mr.", "mannelijk", "dhr", "dhr.", "heer", "männlich", "mann", "herr",
          "masculin", "homme", "masculino", "hombre", "homem", "maschio", "maschile", "uomo", "mężczyzna", "mand"),
    "F": ("f", "w", "v", "k", "female", "woman", "girl", "mrs", "mrs.", "ms", "ms.", "miss", "vrouw", "vrouwelijk",
          "mevr", "mevr.", "mevrouw", "dame", "weiblich", "frau", "féminin", "feminin", "femme", "femenino", "feminino",
          "mujer", "mulher", "femmina", "femminile", "donna", "kobieta", "kvinna", "kvinde", "kvinne"),
    "O": ("o", "other", "diverse", "divers", "non-binary", "nonbinary", "non binary", "anders", "andere", "overig",
          "autre", "otro", "outro", "altro"),
    "N": ("n", "n/a", "not applicable", "niet van toepassing", "nvt", "n.v.t."),
    "P": ("p", "prefer not to say", "zeg ik liever niet", "keine angabe"),
}  # fmt: skip
"""Braze's letter → what people write for it, in lower case. Letters that mean one thing wherever they are used; ``x``,
``d`` and ``u`` don't."""

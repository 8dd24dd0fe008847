"""Datasets that are drawn, so that they need no download: `logos`, `jerseys` and `shapes20`.

They are synthetic, and their labels are true by construction: an image is drawn of its class, it is not sorted into
one afterwards. What makes them worth training on is that position, colour, noise and compression say nothing about
the class, and that some classes are close to each other on purpose. What a model learns of them says nothing about
photographs.

Every image has random numbers of its own, derived from its set, seed, part, class and number (`chance`): it is the
same in every process, and drawing more images of a class changes none of those that there were. The bytes may still
differ between versions of Pillow, which renders the letters and the JPEG artefacts.
"""

from __future__ import annotations

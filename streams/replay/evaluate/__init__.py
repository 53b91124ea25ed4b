"""How well detection does on worlds whose truth is known, beside detectors that are in use elsewhere.

The pure parts: ``shares`` (a share with its confidence interval), ``reports`` (what a detector said), ``matching``
(which report is about which true incident) and ``score`` (the figures). The worlds are those of
``streams.simulate.library``, which shares no code with the detector.
"""

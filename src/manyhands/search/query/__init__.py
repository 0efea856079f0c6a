"""What is asked, and how to answer it: pure, without input or output, processes or the native store.

`request` checks what a user asks; `plan` decides how to answer it; `matcher` tells which lines do, and where in
them. Below these: `syntax` and `parser` (a regex as a tree), `classes` (sets of characters), `literals` (what an
index can look for), `automaton` (a tree as Hyperscan's), `finders` (one pattern, one text), `engines` (the
libraries, loaded at need).
"""

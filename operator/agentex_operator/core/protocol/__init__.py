"""What all remote kinds do alike: the pass as a conversation, and the create protocol (reliability.md §2.0).

A kind's `Observed` extends the one in `observed.py`; the rules here stand among its own in its ordered RULES.
"""

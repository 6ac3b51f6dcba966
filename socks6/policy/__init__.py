"""
Decisions: who is it, and may they?

No transports here.
"""

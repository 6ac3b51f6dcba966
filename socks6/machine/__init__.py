"""
The protocol's states, without any input or output.

A machine is fed octets and yields events; it is told what to say and returns
octets.  It knows no transport, clock or policy.
"""

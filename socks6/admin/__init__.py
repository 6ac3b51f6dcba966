"""
A page for the operator, and the JSON under it: what the proxy does at the moment.
"""

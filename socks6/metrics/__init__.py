"""
What Prometheus is told about a proxy.
"""

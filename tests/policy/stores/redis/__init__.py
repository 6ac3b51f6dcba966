"""
Tests of the store in a Redis server, as far as they need none.
"""

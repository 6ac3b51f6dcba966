"""
Tests for the client's side.
"""

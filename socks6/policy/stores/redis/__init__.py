"""
Sessions in a Redis or Valkey server; needs the extra C{redis}.
"""

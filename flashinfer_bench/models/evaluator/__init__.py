"""A partial evaluator of Python source: runs constructors without importing what they are made of.

Values are Python's own wherever they can be known. What cannot be known is an `Unknown` that
carries its reason; it spreads through arithmetic, attributes and calls instead of failing.
"""

"""How fast this machine samples, trains and scores, and against what: ``python -m benchmarks --help``.

Absolute figures differ from machine to machine and from day to day; so everything is compared within one
run, its contenders taking turns.
"""

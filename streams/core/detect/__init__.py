"""The detect room: closed cohort counts in, issues with their cause out. Pure: event time only, whole-number merges.

rules     every knob                        lattice   leaf tuples -> cohorts of up to two attributes, at most K
cusum     formulas and the vectorised test  window    what happened lately, leaf by leaf
baseline  what is normal, how far it wanders family   one (line, family): counts in, alarms out
daily     whole days: slow ramps            issues    life cycle and cause          live   one issue and its fingerprint
stage     order of bins, partitions, commands         store     what is kept        explain  the cause
"""

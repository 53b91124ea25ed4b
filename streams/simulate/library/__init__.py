"""The incident library: made-up companies in trouble or not, each with the truth about it.

It shares nothing with what finds incidents: nothing here imports the core, the rooms or the runtime.
"""

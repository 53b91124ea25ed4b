"""The plan of the house: what imports what, measured, drawn, and held by ``tests/stack/test_house_plan.py``."""

"""The register of replays that fill databases of their own (``streams.replay.shadow``)."""

from __future__ import annotations

from schemas.table import BIG, FLAG, TEXT, TIME, WORD, Column, Table

REPLAYS = Table("replay", "replay", (
    Column("name", TEXT, "Name of the replay"),
    Column("database", TEXT, "Database that it fills"),
    Column("own", FLAG, "The row lies in that database and says what it is"),
    Column("mark", TEXT, "Comment that the database was made with: one without it is not ours"),
    Column("made_at", TIME, "When filling began", "ms UTC"),
    Column("source", TEXT, "Kind and name of the source"),
    Column("configuration", TEXT, "Hash of the configuration"),
    Column("from_at", TIME, "First event time of the source", "ms UTC"),
    Column("to_at", TIME, "Last event time of the source", "ms UTC"),
    Column("rows", BIG, "Rows stored", "rows"),
    Column("state", WORD, "filling, ready or failed"),
    Column("dropped", "UInt8", "1: the database was dropped; the row hides and replaces older ones"),
    Column("ver", BIG, "Time of the row, ms; the highest wins"),
), ("name",), "ver", 3650, "A replay that fills a database beside the live one", kind="register",
   deleted="dropped")

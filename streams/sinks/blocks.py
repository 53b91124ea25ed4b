"""Inserts of columns that are in the server's own form already, over the driver's connection.

The driver itself encodes value by value. What is sent to the server is the same, only the columns' bytes are handed
through; the parts of the driver that this leans on are listed and held by ``streams.runtime.overrides``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clickhouse_driver import Client, defines
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.columns.service import write_column
from clickhouse_driver.errors import TypeMismatchError
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

from streams.sinks.ready import Ready

REVISION = defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
"""Servers of this revision (version 21.11) and later read blocks in the form that is written here."""


def insert_block(
    client: Client, statement: str, columns: Sequence[Sequence[Any] | Ready], settings: Mapping[str, Any]
) -> None:
    """What ``client.execute(statement, columns, columnar=True)`` does, in one block, for ready columns too.

    Raises what the driver raises, and TypeMismatchError for a ready column of another type than the table's.
    """
    with client.disconnect_on_error(statement, settings):
        client.connection.send_query(statement)
        client.connection.send_external_tables(None)
        wanted = client.receive_sample_block().columns_with_types
        _send_block(client.connection, wanted, columns)
        client.receive_profile_events()
        client.connection.send_data(ColumnOrientedBlock())  # the end of the data
        client.receive_profile_events()
        client.receive_end_of_insert_query()


def _send_block(
    connection: Any, wanted: Sequence[tuple[str, str]], columns: Sequence[Sequence[Any] | Ready]
) -> None:
    if connection.server_info.used_revision < REVISION:
        raise TypeMismatchError("this ClickHouse is too old for native copies: set CX_NATIVE=off")
    rows = len(columns[0])
    if len(wanted) != len(columns) or any(len(column) != rows for column in columns):
        raise TypeMismatchError(f"{len(wanted)} columns of one length are wanted")
    write_varint(ClientPacketTypes.DATA, connection.fout)
    write_binary_str("", connection.fout)  # the block belongs to the statement, not to an external table
    stream = connection.block_out
    out = stream.fout
    BlockInfo().write(out)
    write_varint(len(columns), out)
    write_varint(rows, out)
    for (name, kind), column in zip(wanted, columns, strict=True):
        write_binary_str(name, out)
        write_binary_str(kind, out)
        write_binary_uint8(0, out)  # no custom serialization
        if not isinstance(column, Ready):
            write_column(connection.context, name, kind, column, out)
        elif column.kind == kind:
            out.write(column.data)
        else:
            raise TypeMismatchError(f"column {name} is {kind}, the catalogue says {column.kind}")
    stream.finalize()

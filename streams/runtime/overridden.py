"""The list behind ``overrides``: every private part of Faust, aiokafka and clickhouse-driver that is used, and how."""

from __future__ import annotations

from dataclasses import dataclass

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1", "clickhouse-driver": "0.2.11"}
"""Distribution -> version that the hashes below were taken from."""


@dataclass(frozen=True, slots=True)
class Override:
    """One private part: where it is, what we do with it, why, what would break, and the hash of its source."""

    part: str
    """Dotted path: module, then qualified name."""
    ours: str
    """Where the runtime does it."""
    why: str
    risk: str
    """low, medium or high: how likely a new version needs work here."""
    sha: str
    """First 16 hex digits of the SHA-256 of the part's tokens."""


_CONSUMER = "faust.transport.consumer.Consumer"
_DRIVER = "faust.transport.drivers.aiokafka"
_FETCHER = "aiokafka.consumer.fetcher"
_CLICKHOUSE = "clickhouse_driver"

OVERRIDES: tuple[Override, ...] = (
    Override(
        f"{_CONSUMER}.getmany",
        "transport.BatchConsumer.getmany",
        "one message per fetch instead of one per record",
        "medium",
        "56a65ac66e07fc38",
    ),
    Override(
        f"{_CONSUMER}._wait_next_records",
        "called by BatchConsumer.getmany",
        "waits while the flow stands, then asks the thread",
        "low",
        "c34256c0fb330d3d",
    ),
    Override(
        f"{_CONSUMER}._drain_messages",
        "calls BatchConsumer.getmany",
        "drops messages below its read offset, waits for the queue (our back-pressure)",
        "medium",
        "7a022457e53b9205",
    ),
    Override(
        f"{_CONSUMER}.perform_seek",
        "transport.BatchConsumer.perform_seek",
        "positions come from the tasks' source offsets, not from group offsets",
        "low",
        "4319e654018a29a2",
    ),
    Override(
        f"{_CONSUMER}.on_partitions_revoked",
        "transport.BatchConsumer.on_partitions_revoked",
        "flush before Faust forgets and clears its queues",
        "low",
        "5aab41b2741dfcf9",
    ),
    Override(
        f"{_CONSUMER}.on_buffer_full",
        "transport.BatchConsumer.on_buffer_full",
        "taking all partitions out of the fetch makes Faust sleep for a second",
        "low",
        "4a2332a63e8c068d",
    ),
    Override(
        f"{_CONSUMER}.on_buffer_drop",
        "transport.BatchConsumer.on_buffer_drop",
        "see on_buffer_full",
        "low",
        "fb14fc302d933b40",
    ),
    Override(
        f"{_CONSUMER}.ack",
        "never reached: topics are declared with acks=False",
        "keeps Faust's ack list, gap rule and offset commits out of the way",
        "low",
        "e0b34186f5f09176",
    ),
    Override(
        "faust.transport.consumer.ThreadDelegateConsumer.__init__",
        "transport.BatchConsumer.thread",
        "where the consumer's thread lies",
        "low",
        "437f73ab1abe1ae8",
    ),
    Override(
        f"{_DRIVER}.Consumer._new_consumer_thread",
        "transport.BatchConsumer._new_consumer_thread",
        "our thread class",
        "low",
        "0bc8e7de1009720e",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread._create_worker_consumer",
        "transport.BatchThread._create_worker_consumer",
        "fixed fetch wait of 1500 ms, read_uncommitted, round-robin assignor",
        "medium",
        "7a8d758b5001c9a3",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread._fetch_records",
        "transport.BatchThread._fetch_records",
        "joins what one fetch brought of a topic partition",
        "medium",
        "86a9aeddd3a977f1",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread._seek_wait",
        "called by BatchConsumer.perform_seek",
        "seeks in the consumer's thread and sets the read offsets",
        "low",
        "c8e9ff0b189bbb24",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread.verify_event_path",
        "transport.BatchThread.verify_event_path",
        "looks for acks that do not exist; our watchdog looks at positions",
        "low",
        "50dfba0c8f0389d3",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread.close",
        "transport.BatchThread.close",
        "closes half of the client from another thread",
        "low",
        "134c6d3d4c0f9f12",
    ),
    Override(
        "faust.tables.recovery.Recovery._resume_streams",
        "shell.Shell._on_assigned",
        "sends on_rebalance_complete, then seeks, then resumes: where we recover",
        "medium",
        "86ef6292d32ff404",
    ),
    Override(
        "faust.transport.conductor.ConductorCompiler.build",
        "relied on",
        "puts one event per message into the agent's bounded queue",
        "low",
        "9bcb7e1ffd11d0e7",
    ),
    Override(
        "faust.serializers.schemas.Schema.compile",
        "transport.BatchSchema.compile",
        "hands the batch through undecoded",
        "low",
        "ec8b179861aea79a",
    ),
    Override(
        f"{_FETCHER}.PartitionRecords",
        "bulk._partition_records (replaces the module's name)",
        "whole record batches instead of one object per record",
        "high",
        "1c19931a44b120c3",
    ),
    Override(
        f"{_FETCHER}.FetchResult.getall",
        "iterates what bulk gives",
        "updates the position from next_fetch_offset",
        "high",
        "9669e7e2380f3442",
    ),
    Override(
        f"{_FETCHER}.Fetcher._proc_fetch_request",
        "calls the replaced PartitionRecords and MemoryRecords",
        "its positional arguments",
        "high",
        "348beccf06b50e4b",
    ),
    Override(
        "aiokafka.consumer.subscription_state.TopicPartitionState",
        "transport.BatchThread.end_of",
        "position, last stable offset and time of the newest fetch",
        "medium",
        "f10749048626e95e",
    ),
    Override(
        "aiokafka.consumer.group_coordinator.GroupCoordinator._maybe_leave_group",
        "transport.BatchThread.leave_on_stop",
        "a static member never leaves, its partitions wait",
        "low",
        "5536fc8598ad9e3a",
    ),
    Override(
        f"{_DRIVER}.AIOKafkaConsumerThread._ensure_consumer",
        "called by BatchThread",
        "the aiokafka consumer behind Faust's thread",
        "low",
        "98f75b7ee130aa99",
    ),
    Override(
        "aiokafka.consumer.consumer.AIOKafkaConsumer.__init__",
        "transport.BatchThread and recovery.StateReader",
        "where client and subscription lie",
        "low",
        "cbfd967c93f95ec3",
    ),
    Override(
        "aiokafka.consumer.consumer.AIOKafkaConsumer.start",
        "transport.BatchThread.leave_on_stop",
        "where the coordinator lies",
        "low",
        "e3201c9f8697db54",
    ),
    Override(
        "aiokafka.client.AIOKafkaClient._wait_on_metadata",
        "called by recovery.StateReader._read",
        "partitions of a topic that is not subscribed",
        "low",
        "91320529fcda4e3b",
    ),
    Override(
        "aiokafka.client.AIOKafkaClient.force_metadata_update",
        "called by transport.BatchThread.refresh_topics",
        "topics that were just made",
        "low",
        "1731a41ffa498b58",
    ),
    Override(
        "aiokafka.consumer.group_coordinator.BaseCoordinator._handle_metadata_update",
        "shell.Shell.await_topics relies on it",
        "a leader that sees other partitions shares out anew",
        "low",
        "32e80f887d66324e",
    ),
    Override(
        "aiokafka.producer.producer.AIOKafkaProducer.send_batch",
        "writer.TransactionWriter._send",
        "public, but waits for the batch before it: one batch of a partition at a time",
        "low",
        "40c43b5a5fcf8b3c",
    ),
    Override(
        "aiokafka.producer.message_accumulator.BatchBuilder",
        "native/src/writing.rs ReadyBatch, sent by writer.TransactionWriter._send",
        "takes the place of a closed builder: a whole batch made at a stretch",
        "medium",
        "143460480c47fc3c",
    ),
    Override(
        "aiokafka.producer.message_accumulator.MessageBatch",
        "calls ReadyBatch",
        "the methods of a builder that are called once it is closed",
        "medium",
        "9d50d19e40472ae7",
    ),
    Override(
        "aiokafka.producer.sender.SendProduceReqHandler._can_retry",
        "writer.TransactionWriter.write",
        "which produce errors are final",
        "low",
        "ca2c98f88b10a74f",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.process_insert_query",
        "sinks.blocks.insert_block (follows it)",
        "the steps of an insert",
        "medium",
        "f041de4a878bb8b7",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.send_data",
        "sinks.blocks.insert_block (follows it)",
        "profile events behind every block, an empty block at the end",
        "medium",
        "7baa760f450ebc33",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.disconnect_on_error",
        "sinks.blocks.insert_block (called)",
        "connects, sets the settings, closes after an error",
        "low",
        "0641a17153edb088",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.receive_sample_block",
        "sinks.blocks.insert_block (called)",
        "names and types of the columns that the server wants",
        "low",
        "b27ec41220560cb2",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.receive_profile_events",
        "sinks.blocks.insert_block (called)",
        "reads what the server says behind a block, an exception too",
        "low",
        "bf7e9544b758ca74",
    ),
    Override(
        f"{_CLICKHOUSE}.client.Client.receive_end_of_insert_query",
        "sinks.blocks.insert_block (called)",
        "waits until the server has stored the rows",
        "low",
        "7fd01eacaea068ee",
    ),
    Override(
        f"{_CLICKHOUSE}.connection.Connection.send_query",
        "sinks.blocks.insert_block (called)",
        "starts the insert",
        "low",
        "23f1bcb73c3aeb16",
    ),
    Override(
        f"{_CLICKHOUSE}.connection.Connection.send_external_tables",
        "sinks.blocks.insert_block (called)",
        "the empty block behind a query",
        "low",
        "dfbfae3a2c1ed1d6",
    ),
    Override(
        f"{_CLICKHOUSE}.connection.Connection.send_data",
        "sinks.blocks._send_block (follows it, called for the empty block)",
        "packet type and table name before a block",
        "medium",
        "2ae95e77ba39808b",
    ),
    Override(
        f"{_CLICKHOUSE}.block.BlockInfo",
        "sinks.blocks._send_block (called)",
        "head of a block",
        "low",
        "6d268f8fe412fc09",
    ),
    Override(
        f"{_CLICKHOUSE}.streams.native.BlockOutputStream.write",
        "sinks.blocks._send_block (follows it)",
        "a block: head, counts, then per column name, type, mark and bytes",
        "medium",
        "53f71164859f1227",
    ),
    Override(
        f"{_CLICKHOUSE}.streams.compressed.CompressedBlockOutputStream",
        "sinks.blocks._send_block (called)",
        "compresses what was written to fout when finalize is called",
        "low",
        "3c9adab41d103c33",
    ),
    Override(
        f"{_CLICKHOUSE}.columns.service.write_column",
        "sinks.blocks._send_block (called)",
        "encodes columns that are no ready bytes",
        "low",
        "2628c3dd42d343f5",
    ),
    Override(
        f"{_CLICKHOUSE}.columns.lowcardinalitycolumn.LowCardinalityColumn",
        "followed by native/src/columns.rs",
        "keys and dictionary of a column",
        "medium",
        "69c6770637eae139",
    ),
)

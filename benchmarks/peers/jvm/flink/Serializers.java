package cxbench;

import java.io.IOException;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/** Hand-written serializers: no reflection, no Kryo, only the fields that the receiver looks at. */
final class Serializers {
    private Serializers() {}

    /** Types of streams, keys and state. */
    static final TypeInformation<Event> EVENT = new Information<>(Event.class, Events.INSTANCE);
    static final TypeInformation<Cohort> COHORT = new Information<>(Cohort.class, Cohorts.INSTANCE);
    static final TypeInformation<Sketch> SKETCH = new Information<>(Sketch.class, Sketches.INSTANCE);
    static final TypeInformation<Friction> FRICTION = new Information<>(Friction.class, FrictionValues.INSTANCE);
    static final TypeInformation<Row> ROW = new Information<>(Row.class, RowValues.INSTANCE);

    /** What most of them share; values are immutable unless a subclass says otherwise. */
    abstract static class Base<T> extends TypeSerializerSingleton<T> {
        @Override
        public boolean isImmutableType() {
            return true;
        }

        @Override
        public T createInstance() {
            return null;
        }

        @Override
        public T copy(T value) {
            return value;
        }

        @Override
        public T copy(T value, T reuse) {
            return copy(value);
        }

        @Override
        public void copy(DataInputView in, DataOutputView out) throws IOException {
            serialize(deserialize(in), out);
        }

        @Override
        public T deserialize(T reuse, DataInputView in) throws IOException {
            return deserialize(in);
        }

        @Override
        public int getLength() {
            return -1;
        }
    }

    /** Frictions and contacts on their way to the join. */
    static final class Events extends Base<Event> {
        static final Events INSTANCE = new Events();

        @Override
        public void serialize(Event event, DataOutputView out) throws IOException {
            out.writeByte(event.topic);
            out.writeLong(event.timeMs);
            text(event.customer, out);
            if (event.topic != Event.CONTACT) {
                text(event.frictionKind(), out);
                return;
            }
            text(event.id, out);
            text(event.channel, out);
            text(event.reason, out);
            out.writeInt(event.partition);
            out.writeLong(event.offset);
        }

        @Override
        public Event deserialize(DataInputView in) throws IOException {
            Event event = new Event();
            event.topic = in.readByte();
            event.timeMs = in.readLong();
            event.customer = text(in);
            if (event.topic != Event.CONTACT) {
                event.error = event.outcome = text(in);
                return event;
            }
            event.id = text(in);
            event.channel = text(in);
            event.reason = text(in);
            event.partition = in.readInt();
            event.offset = in.readLong();
            return event;
        }

        @Override
        public TypeSerializerSnapshot<Event> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Event> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }

    static final class Cohorts extends Base<Cohort> {
        static final Cohorts INSTANCE = new Cohorts();

        @Override
        public void serialize(Cohort cohort, DataOutputView out) throws IOException {
            out.writeLong(cohort.windowMs);
            text(cohort.product, out);
            text(cohort.version, out);
            text(cohort.region, out);
            text(cohort.error, out);
        }

        @Override
        public Cohort deserialize(DataInputView in) throws IOException {
            return new Cohort(in.readLong(), text(in), text(in), text(in), text(in));
        }

        @Override
        public TypeSerializerSnapshot<Cohort> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Cohort> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }

    /** Sketches change in place, so that the heap state backend has to copy them while a snapshot is written. */
    static final class Sketches extends Base<Sketch> {
        static final Sketches INSTANCE = new Sketches();

        @Override
        public boolean isImmutableType() {
            return false;
        }

        @Override
        public Sketch copy(Sketch sketch) {
            return sketch.copy();
        }

        @Override
        public void serialize(Sketch sketch, DataOutputView out) throws IOException {
            byte[] bytes = sketch.toBytes();
            out.writeInt(bytes.length);
            out.write(bytes);
        }

        @Override
        public Sketch deserialize(DataInputView in) throws IOException {
            byte[] bytes = new byte[in.readInt()];
            in.readFully(bytes);
            return Sketch.fromBytes(bytes);
        }

        @Override
        public TypeSerializerSnapshot<Sketch> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Sketch> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }

    static final class FrictionValues extends Base<Friction> {
        static final FrictionValues INSTANCE = new FrictionValues();

        @Override
        public void serialize(Friction friction, DataOutputView out) throws IOException {
            out.writeLong(friction.timeMs());
            text(friction.kind(), out);
        }

        @Override
        public Friction deserialize(DataInputView in) throws IOException {
            return new Friction(in.readLong(), text(in));
        }

        @Override
        public TypeSerializerSnapshot<Friction> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Friction> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }

    /** Rows cross the network between pre-aggregation and merge only, with a cohort and a sketch. */
    static final class RowValues extends Base<Row> {
        static final RowValues INSTANCE = new RowValues();

        @Override
        public void serialize(Row row, DataOutputView out) throws IOException {
            Cohorts.INSTANCE.serialize(row.cohort(), out);
            Sketches.INSTANCE.serialize(row.sketch(), out);
        }

        @Override
        public Row deserialize(DataInputView in) throws IOException {
            return new Row(Cohorts.INSTANCE.deserialize(in), Sketches.INSTANCE.deserialize(in), null, null);
        }

        @Override
        public TypeSerializerSnapshot<Row> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Row> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }

    private static void text(String value, DataOutputView out) throws IOException {
        StringValue.writeString(value, out);
    }

    private static String text(DataInputView in) throws IOException {
        return StringValue.readString(in);
    }

    /** Type information that hands out one serializer. */
    private static final class Information<T> extends TypeInformation<T> {
        private final Class<T> type;
        private final TypeSerializer<T> serializer;

        Information(Class<T> type, TypeSerializer<T> serializer) {
            this.type = type;
            this.serializer = serializer;
        }

        @Override
        public TypeSerializer<T> createSerializer(SerializerConfig config) {
            return serializer;
        }

        @Override
        public Class<T> getTypeClass() {
            return type;
        }

        @Override
        public boolean isBasicType() {
            return false;
        }

        @Override
        public boolean isTupleType() {
            return false;
        }

        @Override
        public boolean isKeyType() {
            return true;
        }

        @Override
        public int getArity() {
            return 1;
        }

        @Override
        public int getTotalFields() {
            return 1;
        }

        @Override
        public boolean canEqual(Object other) {
            return other instanceof Information;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Information<?> that && type == that.type;
        }

        @Override
        public int hashCode() {
            return type.hashCode();
        }

        @Override
        public String toString() {
            return type.getSimpleName();
        }
    }
}

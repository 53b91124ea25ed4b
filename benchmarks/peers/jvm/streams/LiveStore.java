package cxbench;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.internals.CacheFlushListener;
import org.apache.kafka.streams.state.internals.CachedStateStore;

/**
 * Live objects in front of a logged in-memory store: serialised once per commit instead of once per record.
 *
 * <p>Kafka Streams flushes caches before it commits offsets, on every path (interval, rebalance, close); a store takes part in that
 * only through the internal {@link CachedStateStore}. Nothing in the public interface gives the same guarantee.
 */
final class LiveStore<K, V> implements StateStore, CachedStateStore<K, V> {
    private final KeyValueStore<K, V> logged;
    private final Map<K, V> live = new HashMap<>();
    private final List<K> changed = new ArrayList<>();
    /** Runs before changes are written: the place to send them to a sink. */
    Runnable beforeFlush = () -> {};

    LiveStore(KeyValueStore<K, V> logged) {
        this.logged = logged;
    }

    /** The live object of a key, null if there is none. */
    V get(K key) {
        V value = live.get(key);
        if (value == null) {
            value = logged.get(key);
            if (value != null) live.put(key, value);
        }
        return value;
    }

    /** Makes an object the live one of its key. */
    void add(K key, V value) {
        live.put(key, value);
    }

    /** Notes that the live object of a key was changed; once per key and flush. */
    void changed(K key) {
        changed.add(key);
    }

    /** The keys changed since the last flush. */
    List<K> changes() {
        return changed;
    }

    /** Drops the live object; the logged one stays. Only between flush and the next change. */
    void release(K key) {
        live.remove(key);
    }

    /** Drops all live objects; the logged ones stay. */
    void releaseAll() {
        live.clear();
    }

    /** Deletes a key, in the changelog too. */
    void delete(K key) {
        live.remove(key);
        logged.delete(key);
    }

    /** All logged entries. */
    KeyValueIterator<K, V> all() {
        return logged.all();
    }

    @Override
    public void flushCache() {
        beforeFlush.run();
        for (K key : changed) logged.put(key, live.get(key));
        changed.clear();
        afterFlush.run();
    }

    /** Runs when the changes were written: the place to forget what is old. */
    Runnable afterFlush = () -> {};

    @Override
    public void clearCache() {
        live.clear();
        changed.clear();
    }

    @Override
    public boolean setFlushListener(CacheFlushListener<K, V> listener, boolean sendOldValues) {
        return false;
    }

    @Override
    public String name() {
        return logged.name();
    }

    @Override
    public void init(StateStoreContext context, StateStore root) {
        logged.init(context, this);
    }

    @Override
    public void commit(Map<TopicPartition, Long> offsets) {
        logged.commit(offsets);
    }

    @Override
    public void close() {
        clearCache();
        logged.close();
    }

    @Override
    public boolean persistent() {
        return false;
    }

    @Override
    public boolean isOpen() {
        return logged.isOpen();
    }

    /** Builds the store of one task. */
    record Builder<K, V>(String name, Serde<K> keys, Serde<V> values) implements StoreBuilder<LiveStore<K, V>> {
        @Override
        public LiveStore<K, V> build() {
            return new LiveStore<>(
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), keys, values).withLoggingEnabled(Map.of()).build());
        }

        @Override
        public StoreBuilder<LiveStore<K, V>> withCachingEnabled() {
            return this;
        }

        @Override
        public StoreBuilder<LiveStore<K, V>> withCachingDisabled() {
            return this;
        }

        @Override
        public StoreBuilder<LiveStore<K, V>> withLoggingEnabled(Map<String, String> config) {
            return this;
        }

        @Override
        public StoreBuilder<LiveStore<K, V>> withLoggingDisabled() {
            return this;
        }

        @Override
        public Map<String, String> logConfig() {
            return Map.of();
        }

        @Override
        public boolean loggingEnabled() {
            return true;
        }
    }
}

package cxbench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** A temporary folder of a run. */
public final class Folder {
    private Folder() {}

    /** Makes one. */
    public static Path create() throws IOException {
        return Files.createTempDirectory("cxbench-");
    }

    /** Removes it and what it holds, as far as possible. */
    public static void remove(Path folder) {
        try (Stream<Path> found = Files.walk(folder)) {
            found.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException gone) {
            System.err.println("left behind: " + folder);
        }
    }
}

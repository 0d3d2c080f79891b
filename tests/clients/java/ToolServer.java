import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Runs Kafka's command-line tools one after another, so that many invocations cost one start of Java. A line from stdin is
 * a class and its arguments, with tabs between; the answer is a line of exit code and length in bytes, then what was printed.
 */
public final class ToolServer {
    private ToolServer() {}

    public static void main(String[] none) throws Exception {
        PrintStream out = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t", -1);
            Tool.Result result = run(words[0], Arrays.copyOfRange(words, 1, words.length));
            byte[] text = result.text().getBytes(StandardCharsets.UTF_8);
            out.print(result.code() + " " + text.length + "\n");
            out.write(text);
            out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static Tool.Result run(String name, String[] arguments) {
        try {
            var main = Class.forName(name).getMethod("main", String[].class);
            return Tool.run(given -> {
                try {
                    main.invoke(null, (Object) given);
                } catch (InvocationTargetException thrown) {
                    if (thrown.getCause() instanceof Exception exception) throw exception;
                    throw thrown;
                }
            }, true, arguments);
        } catch (Exception error) {
            // As when an exception leaves a process's main.
            return new Tool.Result(1, error + "\n");
        }
    }
}

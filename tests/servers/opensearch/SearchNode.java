import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * A cluster of one OpenSearch node without security, for tests:
 * {@code SearchNode <home> [<setting>=<value>...]}.
 *
 * <p>Says {@code listening <port>} on its standard output once it takes requests, and ends, in
 * order, when its standard input is closed: it cannot outlive the tests that started it.
 */
public final class SearchNode extends Node {
    private SearchNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] args) throws Exception {
        Settings.Builder settings =
                Settings.builder()
                        .put("path.home", Path.of(args[0]).toAbsolutePath().toString())
                        .put("cluster.name", "standpipe-tests")
                        .put("node.name", "one")
                        .put("discovery.type", "single-node")
                        .put("network.host", "127.0.0.1")
                        .put("http.port", "0")
                        .put("transport.port", "0")
                        // The disk of a test machine may be nearly full.
                        .put("cluster.routing.allocation.disk.threshold_enabled", false)
                        .put("node.processors", 2);
        for (int i = 1; i < args.length; i++) {
            String[] setting = args[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(
                        settings.build(), Map.of(), null, () -> "one");
        LogConfigurator.setNodeName("one");
        try (Node node = new SearchNode(environment)) {
            node.start();
            HttpServerTransport http = node.injector().getInstance(HttpServerTransport.class);
            System.out.println("listening " + http.boundAddress().publishAddress().getPort());
            while (System.in.read() >= 0) {
                // What is said to it does not matter.
            }
        }
    }
}

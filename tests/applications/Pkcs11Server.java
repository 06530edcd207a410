import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/** A server of TLS 1.3 whose keys are on the token: echoes a line to each client. */
public final class Pkcs11Server {
    private static final char[] PIN = "1234".toCharArray();

    /** CONFIGURATION FILE: the number of the port is written to the file. */
    public static void main(String[] arguments) throws Exception {
        Provider provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
        // JSSE looks for a provider that takes the key: it must be among the installed ones.
        Security.addProvider(provider);
        KeyStore store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, PIN);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, null);
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(keys.getKeyManagers(), null, null);

        try (SSLServerSocket listener = (SSLServerSocket)
                context.getServerSocketFactory().createServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            listener.setEnabledProtocols(new String[] {"TLSv1.3"});
            Path file = Path.of(arguments[1]);
            Path draft = Path.of(arguments[1] + ".new");
            Files.writeString(draft, listener.getLocalPort() + "\n");
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE);
            while (true) {
                try (SSLSocket client = (SSLSocket) listener.accept()) {
                    echo(client);
                } catch (IOException broken) {
                    System.err.println(broken);
                }
            }
        }
    }

    private static void echo(SSLSocket client) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(client.getInputStream(), StandardCharsets.UTF_8));
        String line = lines.readLine();
        OutputStream out = client.getOutputStream();
        out.write((client.getSession().getProtocol() + " " + line + "\n").getBytes(StandardCharsets.UTF_8));
        out.flush();
    }
}

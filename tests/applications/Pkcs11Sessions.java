import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.AuthProvider;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.ProviderException;
import java.security.PublicKey;
import java.security.Security;
import java.security.Signature;
import java.security.UnrecoverableKeyException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What lasts longer than a signature: threads that share a login, logging out and in again, what the provider offers. */
public final class Pkcs11Sessions {
    private static final char[] PIN = "1234".toCharArray();

    private final AuthProvider provider;
    private final KeyStore store;

    private Pkcs11Sessions(String configuration) throws GeneralSecurityException {
        provider = (AuthProvider) Security.getProvider("SunPKCS11").configure(configuration);
        Security.addProvider(provider);
        store = KeyStore.getInstance("PKCS11", provider);
    }

    /** offers|aliases|relogin|threads CONFIGURATION. */
    public static void main(String[] arguments) throws Exception {
        Pkcs11Sessions sessions = new Pkcs11Sessions(arguments[1]);
        switch (arguments[0]) {
            case "offers" -> sessions.offers();
            case "aliases" -> sessions.aliases();
            case "relogin" -> sessions.relogin("rsa-cert", "SHA256withRSA");
            case "threads" -> sessions.threads(Integer.parseInt(arguments[2]), Integer.parseInt(arguments[3]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private void offers() {
        for (Provider.Service service : provider.getServices()) {
            System.out.println(service.getType() + " " + service.getAlgorithm());
        }
    }

    private void aliases() throws Exception {
        store.load(null, PIN);
        store.aliases().asIterator().forEachRemaining(System.out::println);
    }

    /** A key of before is of no use after logging out, a wrong PIN neither, and the right one makes all well again. */
    private void relogin(String alias, String algorithm) throws Exception {
        store.load(null, PIN);
        PrivateKey old = (PrivateKey) store.getKey(alias, null);
        PublicKey verifier = store.getCertificate(alias).getPublicKey();
        signAndVerify(algorithm, old, verifier, 1);

        provider.logout();
        try {
            signAndVerify(algorithm, old, verifier, 2);
            throw new AssertionError("signed while logged out");
        } catch (ProviderException | GeneralSecurityException expected) {
            System.out.println("logged out: " + expected + ", " + expected.getCause());
        }
        try {
            store.load(null, "4321".toCharArray());
            throw new AssertionError("logged in with a wrong PIN");
        } catch (IOException expected) {
            if (!(expected.getCause() instanceof UnrecoverableKeyException)) {
                throw expected;
            }
            System.out.println("a wrong PIN: " + expected.getCause());
        }

        store.load(null, PIN);
        signAndVerify(algorithm, (PrivateKey) store.getKey(alias, null), verifier, 3);
    }

    /** Each thread signs messages of its own, with the RSA or the EC key, and verifies each signature in software. */
    private void threads(int threads, int rounds) throws Exception {
        store.load(null, PIN);
        PrivateKey[] keys = {(PrivateKey) store.getKey("rsa-2048", null), (PrivateKey) store.getKey("ec-p256", null)};
        PublicKey[] verifiers = {
            store.getCertificate("rsa-2048").getPublicKey(), store.getCertificate("ec-p256").getPublicKey()
        };
        String[] algorithms = {"SHA256withRSA", "SHA256withECDSA"};
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Callable<Integer>> tasks = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
            int kind = thread % 2;
            int first = thread * rounds;
            tasks.add(() -> {
                for (int round = 0; round < rounds; round++) {
                    signAndVerify(algorithms[kind], keys[kind], verifiers[kind], first + round);
                }
                return rounds;
            });
        }
        int signatures = 0;
        for (Future<Integer> done : pool.invokeAll(tasks)) {
            signatures += done.get();
        }
        pool.shutdown();
        System.out.println(signatures + " signatures verified");
    }

    private void signAndVerify(String algorithm, PrivateKey key, PublicKey verifier, int number)
            throws GeneralSecurityException {
        byte[] message = ByteBuffer.allocate(500).putInt(number).array();
        Signature signer = Signature.getInstance(algorithm, provider);
        signer.initSign(key);
        signer.update(message);
        byte[] signature = signer.sign();

        Signature check = Signature.getInstance(algorithm, algorithm.endsWith("RSA") ? "SunRsaSign" : "SunEC");
        check.initVerify(verifier);
        check.update(message);
        if (!check.verify(signature)) {
            throw new GeneralSecurityException("signature " + number + " is wrong");
        }
    }
}

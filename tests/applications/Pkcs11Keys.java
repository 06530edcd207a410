import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.Base64;

/** Makes, renames and deletes keys of the token, by the calls that EJBCA uses. */
public final class Pkcs11Keys {
    private static final char[] PIN = "1234".toCharArray();

    private final Provider provider;
    private final KeyStore store;

    private Pkcs11Keys(String configuration) throws Exception {
        provider = Security.getProvider("SunPKCS11").configure(configuration);
        Security.addProvider(provider);
        store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, PIN);
    }

    /** make CONFIGURATION ALIAS PUBLIC CHAIN COMMAND...|rename CONFIGURATION ALIAS NEW|delete CONFIGURATION ALIAS. */
    public static void main(String[] arguments) throws Exception {
        Pkcs11Keys keys = new Pkcs11Keys(arguments[1]);
        String alias = arguments[2];
        switch (arguments[0]) {
            case "make" -> {
                String[] command = Arrays.copyOfRange(arguments, 5, arguments.length);
                keys.make(alias, Path.of(arguments[3]), Path.of(arguments[4]), command);
            }
            case "rename" -> keys.rename(alias, arguments[3]);
            case "delete" -> keys.delete(alias);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** Between the key and its name comes the certificate: the command makes a chain for the public key. */
    private void make(String alias, Path publicKey, Path chain, String[] command) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", provider);
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair pair = generator.generateKeyPair();
        Files.writeString(publicKey, pem(pair.getPublic()));
        expect(new ProcessBuilder(command).inheritIO().start().waitFor() == 0, "a certificate");
        store.setKeyEntry(alias, pair.getPrivate(), null, certificates(chain));
        expect(store.isKeyEntry(alias), alias);
    }

    /** A key has one name: under the new one, it is gone under the old one. */
    private void rename(String alias, String name) throws Exception {
        Certificate[] chain = store.getCertificateChain(alias);
        store.setKeyEntry(name, (PrivateKey) store.getKey(alias, null), null, chain);
        expect(Arrays.equals(chain, store.getCertificateChain(name)), "the chain under the new name");
        expect(!store.containsAlias(alias), "no key under the old name");
    }

    private void delete(String alias) throws Exception {
        expect(store.isKeyEntry(alias), alias);
        store.deleteEntry(alias);
        expect(!store.containsAlias(alias), "no key after its end");
    }

    private static String pem(PublicKey key) {
        String lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getEncoded());
        return "-----BEGIN PUBLIC KEY-----\n" + lines + "\n-----END PUBLIC KEY-----\n";
    }

    private static Certificate[] certificates(Path file) throws Exception {
        try (InputStream source = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(source).toArray(new Certificate[0]);
        }
    }

    private static void expect(boolean found, String what) {
        if (!found) {
            throw new AssertionError("missing: " + what);
        }
    }
}

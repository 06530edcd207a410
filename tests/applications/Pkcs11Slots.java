import java.nio.file.Files;
import java.nio.file.Path;
import java.security.AuthProvider;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.ProviderException;
import java.security.Security;
import java.security.Signature;

/** Two slots at once: a provider for each, with a login, keys and an end of its own. */
public final class Pkcs11Slots {
    private static final char[] PIN = "1234".toCharArray();
    private static final String ALGORITHM = "SHA256withECDSA";

    private final AuthProvider provider;
    private final KeyStore store;

    private Pkcs11Slots(String configuration) throws Exception {
        provider = (AuthProvider) Security.getProvider("SunPKCS11").configure(configuration);
        Security.addProvider(provider);
        store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, PIN);
    }

    /** CONFIGURATION CONFIGURATION ALIAS SOURCE TARGET TARGET: the key of that name in each slot signs. */
    public static void main(String[] arguments) throws Exception {
        Pkcs11Slots[] slots = {new Pkcs11Slots(arguments[0]), new Pkcs11Slots(arguments[1])};
        String alias = arguments[2];
        PrivateKey[] keys = {slots[0].key(alias), slots[1].key(alias)};
        byte[] source = Files.readAllBytes(Path.of(arguments[3]));

        // Under way at the same time.
        Signature[] signatures = {slots[0].begin(keys[0]), slots[1].begin(keys[1])};
        for (byte part : source) {
            signatures[0].update(part);
            signatures[1].update(part);
        }
        Files.write(Path.of(arguments[4]), signatures[0].sign());

        slots[0].provider.logout();
        try {
            slots[0].begin(keys[0]).sign();
            throw new AssertionError("signed while logged out");
        } catch (ProviderException | GeneralSecurityException expected) {
            System.out.println("logged out: " + expected);
        }
        Files.write(Path.of(arguments[5]), signatures[1].sign());
        for (Pkcs11Slots slot : slots) {
            System.out.println(slot.provider.getName());
        }
    }

    private PrivateKey key(String alias) throws GeneralSecurityException {
        return (PrivateKey) store.getKey(alias, null);
    }

    private Signature begin(PrivateKey key) throws GeneralSecurityException {
        Signature signature = Signature.getInstance(ALGORITHM, provider);
        signature.initSign(key);
        return signature;
    }
}

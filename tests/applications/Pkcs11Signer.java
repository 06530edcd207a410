import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.Signature;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import javax.crypto.Cipher;

/** A small application of SunPKCS11: signs or decrypts files with keys of the token. */
public final class Pkcs11Signer {
    private static final char[] PIN = "1234".toCharArray();

    /** sign|decrypt CONFIGURATION, and once or several times ALIAS ALGORITHM SOURCE TARGET. */
    public static void main(String[] arguments) throws Exception {
        Provider provider = Security.getProvider("SunPKCS11").configure(arguments[1]);
        Security.addProvider(provider);
        KeyStore store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, PIN);
        for (int at = 2; at < arguments.length; at += 4) {
            String alias = arguments[at];
            String algorithm = arguments[at + 1];
            PrivateKey key = (PrivateKey) store.getKey(alias, null);
            byte[] source = Files.readAllBytes(Path.of(arguments[at + 2]));
            byte[] result;
            if (arguments[0].equals("sign")) {
                result = sign(provider, key, algorithm, source);
                verify(store, alias, algorithm, source, result);
            } else {
                Cipher cipher = Cipher.getInstance(algorithm, provider);
                cipher.init(Cipher.DECRYPT_MODE, key);
                result = cipher.doFinal(source);
            }
            Files.write(Path.of(arguments[at + 3]), result);
        }
    }

    /** In two parts, so that the token hashes or buffers. */
    private static byte[] sign(Provider provider, PrivateKey key, String algorithm, byte[] source)
            throws GeneralSecurityException {
        Signature signature = Signature.getInstance(name(algorithm), provider);
        if (parameters(algorithm) != null) {
            signature.setParameter(parameters(algorithm));
        }
        signature.initSign(key);
        signature.update(source, 0, 5);
        signature.update(source, 5, source.length - 5);
        return signature.sign();
    }

    /** By Java's own providers, with the certificate of the token. */
    private static void verify(KeyStore store, String alias, String algorithm, byte[] source, byte[] result)
            throws GeneralSecurityException {
        Signature signature = Signature.getInstance(name(algorithm));
        if (parameters(algorithm) != null) {
            signature.setParameter(parameters(algorithm));
        }
        signature.initVerify(store.getCertificate(alias));
        signature.update(source);
        if (!signature.verify(result)) {
            throw new GeneralSecurityException("the signature is wrong");
        }
    }

    private static String name(String algorithm) {
        return algorithm.startsWith("PSS") ? "RSASSA-PSS" : algorithm;
    }

    /** The salt is as long as the hash. */
    private static AlgorithmParameterSpec parameters(String algorithm) {
        return switch (algorithm) {
            case "PSS-SHA-256" -> new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 32, 1);
            case "PSS-SHA-384" -> new PSSParameterSpec("SHA-384", "MGF1", MGF1ParameterSpec.SHA384, 48, 1);
            case "PSS-SHA-512" -> new PSSParameterSpec("SHA-512", "MGF1", MGF1ParameterSpec.SHA512, 64, 1);
            default -> null;
        };
    }
}

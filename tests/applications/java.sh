#!/bin/bash
# Java's SunPKCS11 provider, as docs/applications/java.md has it: keytool, jarsigner, and programs that sign, decrypt, log out
# and serve TLS. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version java -version
version openssl version

start_emulator tls
cd "$work"
# Two certificates that the HSM does not keep, and a slot id that is not its place in the list.
mkdir certificates
for key in rsa-2048 ec-p256; do
    openssl req -x509 -key "$hsm/keys/$key.pem" -subj "/CN=$key" -days 9 -out "certificates/$key.crt"
done
configure java </dev/null
sed -i "/^label = \"$token\"/a id = 7\ncertificates = [\"$work/certificates\"]" "$P11REST_CONFIG"

message=$work/message
head -c 3000 /dev/urandom >"$message"
# Few signatures are worth the time of an optimising compiler.
export JAVA_TOOL_OPTIONS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'

run_java() {
    java -cp classes "$@"
}

programs() {
    javac -d classes "$root"/tests/applications/Pkcs11*.java
    echo 'Main-Class: Pkcs11Signer' >manifest
    jar --create --file application.jar --manifest manifest -C classes .
}
# What the page asks for.
check "Java 17 or newer" at_least 17 "$(java -version 2>&1 | sed -n 's/.* version "\([0-9.]*\).*/\1/p')"
check "the programs compile" programs
check "the provider's configuration" follow java "The provider's configuration"

# SunPKCS11 shows a private key only if there is a certificate with its id.
keytool_works() {
    local list key
    list=$(follow java keytool)
    printf '%s\n' "$list"
    for key in rsa-cert ec-cert rsa-2048 ec-p256; do
        grep -q "^$key, PrivateKeyEntry" <<<"$list"
    done
    grep -q '^aes-256, SecretKeyEntry' <<<"$list"
    says 'verify OK' openssl req -in rsa-cert.csr -noout -verify
    openssl req -in rsa-cert.csr -noout -pubkey | cmp - rsa-cert.pub
}
check "keytool -list and -certreq" keytool_works
# A key whose certificate is yet to come is seen beside one that nobody signed.
sees_unsigned() {
    local store=(-addprovider SunPKCS11 -providerArg pkcs11.cfg -keystore NONE -storetype PKCS11 -storepass "$pin")
    configure bare </dev/null
    refused 'ec-p256' keytool -exportcert -alias ec-p256 "${store[@]}"
    configure unsigned <<<$'[slot.catalog]\nmissing_certificates = "unsigned"'
    says '^ec-p256, PrivateKeyEntry' keytool -list "${store[@]}"
    keytool -exportcert -rfc -alias ec-p256 "${store[@]}" -file unsigned.pem
    says 'CN = ec-p256, OU = not signed' openssl x509 -in unsigned.pem -noout -subject
    keytool -certreq -alias ec-p256 "${store[@]}" -file unsigned.csr
    says 'verify OK' openssl req -in unsigned.csr -noout -verify
    openssl req -in unsigned.csr -noout -pubkey | cmp - ec-p256.pub
}
check "keytool sees a key that has no certificate" sees_unsigned
sees_self_signed() {
    local store=(-addprovider SunPKCS11 -providerArg pkcs11.cfg -keystore NONE -storetype PKCS11 -storepass "$pin")
    configure self-signed <<<$'[slot.catalog]\nmissing_certificates = "self-signed"\naliases = "'"$work/self-signed.json\""
    for key in ec-p256 rsa-2048; do
        keytool -exportcert -rfc -alias "$key" "${store[@]}" -file self-signed.pem
        says "CN = $key, OU = self-signed" openssl x509 -in self-signed.pem -noout -subject
        openssl verify -check_ss_sig -CAfile self-signed.pem self-signed.pem
        openssl x509 -in self-signed.pem -noout -pubkey | cmp - "$key.pub"
        keytool -exportcert -rfc -alias "$key" "${store[@]}" -file again.pem
        cmp self-signed.pem again.pem
    done
}
check "keytool sees keys that signed their own certificates" sees_self_signed

# What Java calls a key, and the certificates that it puts beside it, are kept on this machine; the key is at the HSM.
makes_keys() {
    local made
    configure keys <<<"$(section java "Making and renaming keys" toml | sed "s|/var/lib/p11rest|$work|")"
    follow java "Making and renaming keys"
    says 'verify OK' openssl req -in web.csr -noout -verify
    openssl req -x509 -newkey rsa:2048 -nodes -keyout authority.key -subj /CN=authority -days 9 -out authority.crt
    openssl x509 -req -in web.csr -CA authority.crt -CAkey authority.key -days 5 -out web.crt
    cat web.crt authority.crt >chain.pem
    follow java "The answer of the authority"
    made=$(P11REST_PIN=$pin "$tool" list --module "$module" --objects | grep -o 'p11rest-[0-9a-f]*' | sort -u)
    [ "$(wc -w <<<"$made")" -eq 1 ]
    # It signs under the alias, in another process, and the new certificate says so.
    jarsigner -addprovider SunPKCS11 -providerArg pkcs11.cfg -keystore NONE -storetype PKCS11 -storepass "$pin" \
        -signedjar signed-web.jar application.jar web
    cp authority.crt "$hsm/keys/authority.crt"
    signed web authority
    follow java "Another alias, and the end"
    refused 'web' keytool -exportcert -alias web -addprovider SunPKCS11 -providerArg pkcs11.cfg -keystore NONE \
        -storetype PKCS11 -storepass "$pin"
    [ "$(cat aliases.json)" = '{"keys":{}}' ]
    if P11REST_PIN=$pin "$tool" list --module "$module" --objects | grep "$made"; then return 1; fi
}
# The page has a program to be saved as Sign.java.
page_program() {
    section java "In a program" java >Sign.java
    cp message data
    follow java "In a program"
    openssl dgst -sha256 -verify rsa-cert.pub -signature signature data
}
check "the page, \"In a program\"" page_program
check "a module for every program" says '^ec-cert, PrivateKeyEntry' follow java "In every program"

# signed KIND KEY: by the key, and what is signed is the manifest, says OpenSSL.
signed() {
    local block hash digest
    (mkdir -p "$1" && cd "$1" && jar --extract --file "../signed-$1.jar")
    block=$(find "$1/META-INF" -name '*.RSA' -o -name '*.EC')
    openssl cms -verify -binary -inform DER -in "$block" -content "${block%.*}.SF" \
        -CAfile "$hsm/keys/$2.crt" -purpose any -out /dev/null
    # A long line goes on in the next one, behind a blank.
    tr -d '\r' <"${block%.*}.SF" | sed -e ':more' -e '$!N' -e 's/\n //' -e 'tmore' -e 'P;D' >signed.txt
    read -r hash digest < <(sed -n 's/^SHA-\([0-9]*\)-Digest-Manifest: /\1 /p' signed.txt)
    [ "$digest" = "$(openssl dgst "-sha$hash" -binary "$1/META-INF/MANIFEST.MF" | base64 -w 0)" ]
}
jarsigner_works() {
    [ "$(follow java jarsigner | grep -c '^jar verified')" -eq 2 ]
    signed rsa rsa-cert
    signed ec ec-cert
}
check "jarsigner signs and verifies" jarsigner_works
check "keytool makes, certifies, renames and deletes a key" makes_keys

# The same by a program: an authority certifies the key before it has a name, and it signs in another process.
program_makes_keys() {
    local mine=(openssl x509 -new -force_pubkey made.pem -subj /CN=made -days 5 -CA authority.crt -CAkey authority.key -out made.crt)
    configure keys <<<"$(section java "Making and renaming keys" toml | sed "s|/var/lib/p11rest|$work|")"
    run_java Pkcs11Keys make keys.cfg first made.pem chain.pem \
        bash -c '"$@" && cat made.crt authority.crt >chain.pem' certify "${mine[@]}"
    run_java Pkcs11Signer sign keys.cfg first SHA256withECDSA message first.sig
    run_java Pkcs11Keys rename keys.cfg first second
    run_java Pkcs11Signer sign keys.cfg second SHA256withECDSA message second.sig
    openssl dgst -sha256 -verify made.pem -signature first.sig message
    openssl dgst -sha256 -verify made.pem -signature second.sig message
    refused 'missing: first' run_java Pkcs11Keys delete keys.cfg first
    run_java Pkcs11Keys delete keys.cfg second
    [ "$(cat aliases.json)" = '{"keys":{}}' ]
    if P11REST_PIN=$pin "$tool" list --module "$module" --objects | grep 'p11rest-'; then return 1; fi
}
check "a program makes, renames and deletes a key" program_makes_keys

# One run of the program for all signatures: KEY ALGORITHM SOURCE TARGET.
wanted=()
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
    wanted+=(rsa-cert "${hash}withRSA" message "${hash}withRSA.sig")
    wanted+=(ec-cert "${hash}withECDSA" message "${hash}withECDSA.sig")
done
for hash in 256 384 512; do
    wanted+=(rsa-cert "PSS-SHA-$hash" message "PSS-SHA-$hash.sig")
done
openssl dgst -sha384 -binary -out digest message
wanted+=(ec-cert NONEwithECDSA digest NONEwithECDSA.sig)
check "a program signs" run_java Pkcs11Signer sign pkcs11.cfg "${wanted[@]}"

# verified ALGORITHM KEY OPTIONS-OF-DGST...
verified() {
    openssl dgst "${@:3}" -verify "$2.pub" -signature "$1.sig" message
}
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
    check "OpenSSL verifies ${hash}withRSA" verified "${hash}withRSA" rsa-cert "-${hash,,}"
    check "OpenSSL verifies ${hash}withECDSA" verified "${hash}withECDSA" ec-cert "-${hash,,}"
done
for hash in 256 384 512; do
    check "OpenSSL verifies RSASSA-PSS with SHA-$hash" verified "PSS-SHA-$hash" rsa-cert "-sha$hash" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
done
check "OpenSSL verifies NONEwithECDSA" \
    openssl pkeyutl -verify -pubin -inkey ec-cert.pub -in digest -sigfile NONEwithECDSA.sig

decrypts() {
    head -c 40 message >plain
    openssl pkeyutl -encrypt -pubin -inkey rsa-cert.pub -in plain -out cipher
    run_java Pkcs11Signer decrypt pkcs11.cfg rsa-cert RSA/ECB/PKCS1Padding cipher content
    cmp plain content
}
check "a program decrypts RSA/ECB/PKCS1Padding" decrypts

check "16 threads sign 200 times each" says '^3200 signatures verified' run_java Pkcs11Sessions threads pkcs11.cfg 16 200
check "logs out and in again" says 'a wrong PIN:' run_java Pkcs11Sessions relogin pkcs11.cfg

by_id() {
    sed 's/^slotListIndex = 0/slot = 7/' pkcs11.cfg >by-id.cfg
    says '^rsa-cert$' run_java Pkcs11Sessions aliases by-id.cfg
    sed 's/^slotListIndex = 0/slot = 8/' pkcs11.cfg >no-slot.cfg
    refused 'CKR_SLOT_ID_INVALID' run_java Pkcs11Sessions aliases no-slot.cfg
}
check "the slot by its id" by_id

# A second slot of the same HSM, without rsa-cert.
second_slot() {
    configure two </dev/null
    sed -n '/^\[\[slot\]\]/,$p' "$hsm/p11rest.toml" | sed 's/^label = .*/label = "second"/' >>"$P11REST_CONFIG"
    printf '[slot.catalog]\nhide = ["rsa-cert"]\n' >>"$P11REST_CONFIG"
    follow java "Several slots"
    run_java Pkcs11Sessions aliases second.cfg >aliases
    cat aliases
    grep -qx ec-cert aliases
    if grep rsa-cert aliases; then return 1; fi
}
check "the page, \"Several slots\"" second_slot

two_slots() {
    local slot
    export P11REST_CONFIG=$hsm/two.toml
    says '^SunPKCS11-second$' run_java Pkcs11Slots pkcs11.cfg second.cfg ec-cert message slot-1.sig slot-2.sig
    for slot in 1 2; do
        openssl dgst -sha256 -verify ec-cert.pub -signature "slot-$slot.sig" message
    done
}
check "two slots at once, each with its own login" two_slots

# What is left to Java: without the list it would be the module's.
disabled() {
    sed '/^disabledMechanisms/,/^}/d' pkcs11.cfg >everything.cfg
    run_java Pkcs11Sessions offers everything.cfg | sort >all
    run_java Pkcs11Sessions offers pkcs11.cfg | sort >some
    diff all some || true
    grep -qx 'MessageDigest SHA-256' all
    grep -qx 'SecureRandom PKCS11' all
    if grep 'MessageDigest\|SecureRandom\|Cipher AES' some; then return 1; fi
    grep -qx 'Signature SHA256withECDSA' some
    grep -qx 'Signature RSASSA-PSS' some
    if grep 'C_Digest\|C_GenerateRandom' "$scratch/module.log"; then return 1; fi
}
check "digests and random numbers stay in Java" disabled

# asks KIND ALGORITHMS: a client that takes these signatures alone. Of several keys of a kind JSSE takes one or another.
asks() {
    echo hello | timeout 20 openssl s_client -connect "localhost:$(cat port)" -tls1_3 -sigalgs "$2" -brief -ign_eof \
        -CAfile trusted.crt -verify_return_error >answer 2>client.log || { cat client.log; return 1; }
    cat answer client.log
    grep -qx 'TLSv1.3 hello' answer && grep -qx 'Verification: OK' client.log && grep -qx "Signature type: $1" client.log
}
serves() {
    local server waited=0 status=0
    java -cp classes Pkcs11Server pkcs11.cfg port &
    server=$!
    while [ ! -e port ] && kill -0 "$server" && [ $((waited += 1)) -lt 200 ]; do sleep 0.1; done
    cat "$hsm"/keys/*.crt certificates/*.crt >trusted.crt
    asks RSA-PSS rsa_pss_rsae_sha256 && asks ECDSA ECDSA+SHA256:ECDSA+SHA384 || status=$?
    kill "$server"
    wait "$server" || true
    return "$status"
}
check "a server of TLS 1.3 with RSA and EC keys" serves

finish

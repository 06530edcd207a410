#!/bin/bash
# CipherTrust Manager, which hashes what it signs: the applications that docs/vendors/ciphertrust.md names, those that can use
# it and those that bring a digest and cannot. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version opensc-tool --info
version p11tool --version
version packaged libengine-pkcs11-openssl
version ssh -V
version java -version
version openssl version

token=ciphertrust
# The public half of a pair has to be deleted by itself.
start_emulator tls --vendor ciphertrust --set public_half=kept
# SunPKCS11 shows a private key only beside its certificate, and the server keeps none.
for name in rsa-2048 ec-p256; do
    openssl req -x509 -key "$hsm/keys/$name.pem" -subj "/CN=$name" -days 9 -out "$hsm/$name.crt"
done
configure certified <<TOML
[[slot.key]]
label = "rsa-2048"
certificate = "$hsm/rsa-2048.crt"
[[slot.key]]
label = "ec-p256"
certificate = "$hsm/ec-p256.crt"
TOML

message=$work/message
head -c 3000 /dev/urandom >"$message"

p11() {
    pkcs11-tool --module "$module" "$@"
}

user() {
    p11 --login --pin "$pin" "$@"
}

id_of() {
    user --list-objects --type "$1" 2>/dev/null |
        awk -v label="$2" '$1 == "label:" { found = $2 == label } $1 == "ID:" && found { print $2; exit }'
}

check "pkcs11-tool lists slots" says "token label *: $token" p11 --list-slots

objects() {
    local list name
    list=$(user --list-objects)
    printf '%s\n' "$list"
    for name in rsa-2048 rsa-cert ec-p256 ec-cert aes-256 hmac-sha1 hmac-sha256 hmac-sha384 hmac-sha512; do
        grep -q "label: *$name\$" <<<"$list"
    done
}
check "pkcs11-tool lists objects" objects

# signs KEY MECHANISM HASH OPTIONS...
signs() {
    local key=$1 mechanism=$2 hash=$3
    shift 3
    rm -f "$work/signature"
    user --sign --id "$(id_of privkey "$key")" --mechanism "$mechanism" --signature-format openssl \
        --input-file "$message" --output-file "$work/signature" &&
        openssl dgst "-$hash" "$@" -verify "$work/$key.pub" -signature "$work/signature" "$message"
}
pss=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32)
check "pkcs11-tool signs with SHA256-RSA-PKCS" signs rsa-2048 SHA256-RSA-PKCS sha256
check "pkcs11-tool signs with SHA512-RSA-PKCS" signs rsa-cert SHA512-RSA-PKCS sha512
check "pkcs11-tool signs with SHA256-RSA-PKCS-PSS" signs rsa-2048 SHA256-RSA-PKCS-PSS sha256 "${pss[@]}"
check "pkcs11-tool signs with ECDSA-SHA256" signs ec-p256 ECDSA-SHA256 sha256
check "pkcs11-tool signs with ECDSA-SHA384" signs ec-cert ECDSA-SHA384 sha384
check "pkcs11-tool does not sign a digest" refused "C_SignInit failed: rv = CKR_MECHANISM_INVALID" signs rsa-2048 RSA-PKCS sha256
check "nor with ECDSA" refused "C_SignInit failed: rv = CKR_MECHANISM_INVALID" signs ec-p256 ECDSA sha256
check "a wrong PIN" refused CKR_PIN_INCORRECT p11 --login --pin 4321 --list-objects

# makes LABEL TYPE ID: a pair, with the public key of the server's where `signs` looks for it.
makes() {
    user --keypairgen --key-type "$2" --label "$1" --id "$3" --usage-sign &&
        openssl pkey -in "$hsm/keys/$1.pem" -pubout -out "$work/$1.pub" &&
        [ "$(id_of privkey "$1")" = "$3" ]
}
# deletes TYPE LABEL: all objects of that name are gone then, here and at the server.
deletes() {
    user --delete-object --type "$1" --label "$2" || return 1
    local list
    list=$(user --list-objects)
    printf '%s\n' "$list"
    ! grep -q "label: *$2" <<<"$list" && [ ! -e "$hsm/keys/$2.pem" ]
}
check "pkcs11-tool makes an RSA pair" makes new-rsa rsa:2048 0a01
check "and signs with it" signs new-rsa SHA256-RSA-PKCS sha256
check "pkcs11-tool makes an EC pair" makes new-ec EC:secp384r1 0a02
check "and signs with it" signs new-ec ECDSA-SHA384 sha384
check "a name that is taken" refused CKR_TEMPLATE_INCONSISTENT makes new-ec EC:secp384r1 0a03
check "pkcs11-tool deletes the RSA pair" deletes privkey new-rsa
# CKR_ACTION_PROHIBITED, which pkcs11-tool has no name for.
check "but no half alone" refused '(0x1b)' user --delete-object --type pubkey --label new-ec
check "and the EC pair" deletes privkey new-ec
check "the names are free again" makes new-ec EC:prime256v1 0a04
check "pkcs11-tool makes an AES key" user --keygen --key-type AES:32 --label new-aes --id 0a05 --sensitive
check "and deletes it" deletes secrkey new-aes
check "but none that shows itself" refused CKR_ATTRIBUTE_VALUE_INVALID user --keygen --key-type AES:32 --label new-aes

gnutls() {
    GNUTLS_PIN=$pin p11tool --provider "$module" --login "$@"
}
check "p11tool lists" says 'object=ec-cert;type=private' gnutls --list-all
check "GnuTLS hashes by itself" refused 'Cannot sign data: PKCS #11 unsupported feature' \
    gnutls --test-sign "pkcs11:token=$token;object=rsa-2048;type=private"
check "with an EC key too" refused 'Cannot sign data: PKCS #11 unsupported feature' \
    gnutls --test-sign "pkcs11:token=$token;object=ec-p256;type=private"

cat >"$work/openssl.cnf" <<CNF
openssl_conf = initialisation
[initialisation]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $module
CNF
engine() {
    OPENSSL_CONF=$work/openssl.cnf openssl dgst -engine pkcs11 -keyform engine -sha256 -out "$work/signature" \
        -sign "pkcs11:token=$token;object=$1;type=private;pin-value=$pin" "$message"
}
check "the engine of OpenSSL brings a digest" refused 'Mechanism invalid' engine rsa-2048
check "with an EC key too" refused 'Mechanism invalid' engine ec-p256

cat >"$work/ask" <<'ASK'
#!/bin/sh
echo "$SSH_TEST_PIN"
ASK
chmod +x "$work/ask"
ssh_keys() {
    SSH_TEST_PIN=$pin SSH_ASKPASS=$work/ask SSH_ASKPASS_REQUIRE=force ssh-keygen -D "$module" "$@"
}
certify() {
    ssh_keys 2>/dev/null | grep "^$1 " | head -n 1 >"$work/ca.pub"
    rm -f "$work/user" "$work/user.pub"
    ssh-keygen -q -t ed25519 -N '' -f "$work/user"
    ssh_keys -s "$work/ca.pub" -I somebody "$work/user.pub"
}
check "OpenSSH lists" says '^ecdsa-sha2-nistp256 ' ssh_keys
check "and brings a digest" refused 'C_SignInit failed: 112' certify ssh-rsa
check "with an EC key too" refused 'C_SignInit failed: 112' certify ecdsa-sha2-nistp256

# java_signs KEY ALGORITHM HASH OPTIONS...
java_signs() {
    local key=$1 algorithm=$2
    shift 2
    rm -f "$work/signature"
    java -cp "$work" Pkcs11Signer sign "$work/provider.cfg" "$key" "$algorithm" "$message" "$work/signature" &&
        openssl dgst "$@" -verify "$work/$key.pub" -signature "$work/signature" "$message"
}
printf 'name = p11rest\nlibrary = %s\nslotListIndex = 0\n' "$module" >"$work/provider.cfg"
javac -d "$work" "$root/tests/applications/Pkcs11Signer.java"
check "Java signs with SHA256withRSA" java_signs rsa-2048 SHA256withRSA -sha256
check "Java signs with SHA256withECDSA" java_signs ec-p256 SHA256withECDSA -sha256
check "Java has no RSASSA-PSS here" refused 'no such algorithm: RSASSA-PSS' \
    java_signs rsa-2048 PSS-SHA-256 -sha256 "${pss[@]}"
check "nor NONEwithECDSA" refused 'no such algorithm: NONEwithECDSA' java_signs ec-p256 NONEwithECDSA -sha256

finish

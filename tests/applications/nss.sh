#!/bin/bash
# NSS, as docs/applications/nss.md has it: its tools, and a program that logs in as Firefox does. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version packaged libnss3
version openssl version

start_emulator tls
mkdir "$work/nss"
cd "$work/nss"

# The ready file, for the emulator.
follow nss "The slot of the emulator"
export P11REST_CONFIG=$PWD/nss.toml

head -c 3000 /dev/urandom >message
message=$PWD/message

check "modutil -add" says 'Token Name: securosys' follow nss "The module in a database"

keys() {
    local list
    # Nobody is at the terminal: certificates are listed without a PIN.
    list=$(follow nss "Keys and certificates" </dev/null)
    printf '%s\n' "$list"
    [ "$(grep -c '> rsa  ' <<<"$list")" -eq 2 ]
    [ "$(grep -c '> ec  ' <<<"$list")" -eq 2 ]
    [ "$(grep -cE '^securosys:(rsa|ec)-cert +u,u,u' <<<"$list")" -eq 2 ]
}
check "certutil -K and -L" keys

# certify REQUEST NAME OPTIONS...: what the authority of the page does.
certify() {
    openssl x509 -req -inform DER -in "$1" -CA authority.crt -CAkey authority.key -days 9 -out "certificates/$2.crt" "${@:3}"
}

requests() {
    follow nss "Requests for certificates"
    local key
    for key in rsa-2048 ec-p256; do
        openssl req -inform DER -in "$key.req" -noout -verify
        openssl req -inform DER -in "$key.req" -noout -pubkey | cmp - "$work/$key.pub"
    done
    follow nss "An authority to try it with"
    [ "$(follow nss "What the authority sends" | grep -c 'certificate is valid')" -eq 2 ]
}
check "certutil -R, and what the authority makes of it" requests

messages() {
    follow nss "Signing and decrypting messages"
    local key
    for key in rsa-2048 ec-p256; do
        openssl cms -verify -binary -inform DER -in "$key.cms" -CAfile authority.crt -purpose any -out content
        cmp message content
    done
    cmp message decrypted
    openssl cms -decrypt -binary -inform DER -in encrypted.cms -recip certificates/rsa-2048.crt \
        -inkey "$hsm/keys/rsa-2048.pem" -out content
    cmp message content
    openssl cms -encrypt -binary -aes-256-cbc -in message -outform DER -out encrypted.cms certificates/rsa-2048.crt
    cmsutil -D -d sql:nssdb -f pins -i encrypted.cms -o decrypted
    cmp message decrypted
}
check "cmsutil signs, encrypts and decrypts" messages

sha1_base64() {
    openssl dgst -sha1 -binary | base64
}
code() {
    says 'verified   file' follow nss "Signing code"
    (mkdir jar && cd jar && python3 -m zipfile -e ../signed.jar .)
    openssl cms -verify -binary -inform DER -in jar/META-INF/zigbert.rsa -content jar/META-INF/zigbert.sf \
        -CAfile authority.crt -purpose any -out /dev/null
    # The chain from the signature by the manifest's section to the file, in its SHA-1 links.
    grep -q "^SHA1-Digest: $(sed -n '/^Name: file/,$p' jar/META-INF/manifest.mf | sha1_base64)" jar/META-INF/zigbert.sf
    grep -q "^SHA1-Digest: $(sha1_base64 <message)" jar/META-INF/manifest.mf
}
check "signtool" code

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# with_server COMMAND... -- COMMAND...: the second one while the first one listens at the port.
with_server() {
    local server=() pid waited=0 status=0
    while [ "$1" != -- ]; do server+=("$1") && shift; done
    shift
    "${server[@]}" >server.log 2>&1 &
    pid=$!
    while ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [ $((waited += 1)) -lt 200 ]; do sleep 0.05; done
    # In a process of its own, where errexit holds.
    (set -e && "$@") &
    wait $! || { status=$? && cat server.log; }
    kill "$pid"
    wait "$pid" || true
    return "$status"
}

# page HEADING: the commands, at our port.
page() {
    section nss "$1" | sed "s/18443/$port/"
}

as_the_page_has_it() {
    with_server bash -c "exec $(page "A server of TLS")" -- says '^HTTP/1.0 200 OK' bash -euo pipefail -c "$(page "A client of TLS")"
    grep -q 'Subject: CN=ec-p256' server.log
}

# To a server of NSS, with a key of its own.
openssl_connects() {
    openssl req -new -newkey rsa:2048 -nodes -keyout client.key -subj /CN=client -outform DER -out client.req
    certify client.req client
    mv certificates/client.crt .
    local version
    for version in 1_2 1_3; do
        (sleep 0.2; printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.3) |
            timeout 10 openssl s_client -connect "localhost:$port" "-tls$version" -cert client.crt -key client.key \
                -CAfile authority.crt -verify_return_error -verify_hostname localhost >answer
        grep -q '^HTTP/1.0 200 OK' answer
        grep -q 'Verification: OK' answer
    done
}

# A server of OpenSSL that wants a certificate, and says whose it got.
nss_connects() {
    local version
    for version in tls1.2 tls1.3; do
        timeout 10 tstclnt -d sql:nssdb -W pins -n "securosys:$1" -h localhost -p "$port" -V "$version:$version" -A request >answer
        cat answer
        grep -q 'Verify return code: 0 (ok)' answer
        grep -q "Subject: CN *= *$1" answer
    done
}

check "selfserv with tstclnt" as_the_page_has_it
openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -addext basicConstraints=critical,CA:FALSE 2>authority.log
certutil -A -d sql:nssdb -n server -t P,, -i server.crt
for key in rsa-2048 ec-p256; do
    check "selfserv with $key, asked by OpenSSL" with_server \
        selfserv -d sql:nssdb -f pins -n "securosys:$key" -p "$port" -V tls1.2:tls1.3 -r -r -- openssl_connects
    check "tstclnt with $key, asking OpenSSL" with_server \
        openssl s_server -accept "$port" -www -cert server.crt -key server.key -CAfile authority.crt -Verify 1 -verify_return_error \
        -- nss_connects "$key"
done

logs_in() {
    python3 "$root/tests/applications/nss_login.py" sql:nssdb "$module" "$token" "$1" message login.sig \
        "$(cat "$hsm/ready")" "$hsm/ca.pem"
    openssl dgst -sha256 -verify "$work/rsa-2048.pub" -signature login.sig message
}
check "a program asks for PINs as Firefox does" logs_in pin

(umask 077 && sed "s/\"pin\"/\"$pin\"/" nss.toml >open.toml)
export P11REST_CONFIG=$PWD/open.toml
check "a program and a slot without a PIN" logs_in open

# The policies that the page links to, with the module's path put in as it says: NSS loads the module that they name.
policies() {
    local named
    follow nss "Firefox and Thunderbird"
    named=$(python3 -c 'import json, sys
(name, path), = json.load(sys.stdin)["policies"]["SecurityDevices"]["Add"].items()
print(name, path)' <policies.json)
    [ "$named" = "p11rest $module" ]
    [ "$(grep -o '/usr/.*\.so' "$F/firefox-policies.json")" = "$(sed -n 's/^module: *//p' "$F/p11rest.module")" ]
    mkdir profile
    certutil -N -d sql:profile --empty-password
    modutil -dbdir sql:profile -add "${named% *}" -libfile "${named#* }" -force
    says "Token Name: $token " modutil -dbdir sql:profile -list "${named% *}"
}
check "the policies of Firefox" policies

# The file has a base64 block of an algorithm and a bit string, the signature of a SHA-1 hash.
pk1_verifies() {
    local at
    sed -n '/^signature:/,/^pubkey:/{/:/d;p}' "$1.pk1" | base64 -d >pk1.der
    openssl asn1parse -inform DER -in pk1.der >pk1.txt
    cat pk1.txt
    grep -qi "$2" pk1.txt
    at=$(sed -n 's/^ *\([0-9]*\):d=1 *hl=\([0-9]*\).*BIT STRING.*/\1 + \2 + 2/p' pk1.txt)
    tail -c +$((at)) pk1.der >pk1.sig
    openssl dgst "-$3" -verify "$work/$1.pub" -signature pk1.sig message
}
pk1sign_works() {
    follow nss "Signing a file with pk1sign"
    pk1_verifies rsa-2048 sha1WithRSA sha1
    pk1_verifies ec-p256 ecdsa-with-SHA1 sha1
}
check "pk1sign" pk1sign_works

finish

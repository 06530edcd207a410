#!/bin/bash
# The lines of README.md for applications, to the letter. OpenSSL verifies what they sign; each of its links leads to a file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version opensc-tool --info
version p11tool --version
version ssh -V
version java -version
version openssl version
version packaged pkcs11-provider
version packaged libengine-pkcs11-openssl

start_emulator tls
export HOME=$work
cd "$root"

using_it() {
    local output
    output=$(follow ../../README "Using it")
    printf '%s\n' "$output"
    grep -q '^rsa-cert, PrivateKeyEntry' <<<"$output"
    cd "$HOME/p11rest-try"
    openssl dgst -sha256 -verify "$work/rsa-2048.pub" -signature provider.sig data
    openssl dgst -sha256 -verify "$work/rsa-2048.pub" -signature engine.sig data
    [ "$(grep -c '^\(ssh-rsa\|ecdsa-sha2\)' token.pub)" -eq 4 ]
}

links() {
    local link missing=0
    for link in $(grep -o '](docs/[^)#]*' README.md | cut -c 3- | sort -u); do
        [ -e "$link" ] || { echo "$link is missing"; missing=1; }
    done
    return "$missing"
}

check "\"Using it\"" using_it
check "the links to docs" links
finish
